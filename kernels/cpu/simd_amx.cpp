#include "kernels/cpu/simd_512.hpp"
#include "kernels/cpu/simd_product.hpp"

// Products of bytes by AMX: eight registers, tiles, of 16 rows of 64 bytes, and an instruction that
// adds to the sums of 16 positions by 16 outputs the products of 64 bytes each,
//
//   sums[p][o] += dot(x[p], w[o]),   TDPBUSD of tiles x [position][byte], w [word][output][byte]
//
// Layouts: a tile of x is loaded where the image lies, a position a row; one of weights is 1 KiB as
// simd_product.hpp packs them.
//
// Work: a block is 2 tiles of positions by 2 groups of outputs, or 4 by 1, whose sums stay in four
// tiles, so that 4 loads serve 4 products. Groups are the outer loop, as in simd_product.hpp.
//
// Fused: all that follows the sums. A block's sums go through 8 KiB of memory, in the first cache,
// to AVX-512, which scales, activates and writes them while the next block is multiplied: neither
// waits for the other.
namespace pixeldp::kernels::cpu {
namespace {

struct Amx : Vectors512 {};

/// Tiles 0 to 3 are sums, 4 and 5 weights, 6 and 7 positions.
constexpr int first_weight = 4, first_x = 6;

// The intrinsics take tiles by literal numbers only.
template <int tile>
[[gnu::always_inline]] inline void load_tile(const void* rows, std::int64_t stride) {
  if constexpr (tile == 0) _tile_loadd(0, rows, stride);
  if constexpr (tile == 1) _tile_loadd(1, rows, stride);
  if constexpr (tile == 2) _tile_loadd(2, rows, stride);
  if constexpr (tile == 3) _tile_loadd(3, rows, stride);
  if constexpr (tile == 4) _tile_loadd(4, rows, stride);
  if constexpr (tile == 5) _tile_loadd(5, rows, stride);
  if constexpr (tile == 6) _tile_loadd(6, rows, stride);
  if constexpr (tile == 7) _tile_loadd(7, rows, stride);
}
template <int tile>
[[gnu::always_inline]] inline void store_tile(void* rows, std::int64_t stride) {
  static_assert(tile < first_weight);
  if constexpr (tile == 0) _tile_stored(0, rows, stride);
  if constexpr (tile == 1) _tile_stored(1, rows, stride);
  if constexpr (tile == 2) _tile_stored(2, rows, stride);
  if constexpr (tile == 3) _tile_stored(3, rows, stride);
}
/// Sums of tile t of positions and group g.
template <int t, int g, int groups>
[[gnu::always_inline]] inline void multiply_tiles() {
  constexpr int sums = t * groups + g;
  static_assert(sums < first_weight && g < 2);
  if constexpr (sums == 0) _tile_dpbusd(0, 6, 4);
  if constexpr (sums == 1 && groups == 2) _tile_dpbusd(1, 6, 5);
  if constexpr (sums == 2 && groups == 2) _tile_dpbusd(2, 7, 4);
  if constexpr (sums == 3 && groups == 2) _tile_dpbusd(3, 7, 5);
  if constexpr (sums == 1 && groups == 1) _tile_dpbusd(1, 7, 4);
  if constexpr (sums == 2 && groups == 1) _tile_dpbusd(2, 6, 4);
  if constexpr (sums == 3 && groups == 1) _tile_dpbusd(3, 7, 4);
}

/// Sums of some tiles by some groups, [tile, group, position, output], and what is written next.
template <class V>
struct Block {
  alignas(64) std::int32_t sums[4][tile_positions * group_outputs];
  std::int64_t result[4];              ///< of each tile: its first position's number
  std::int64_t groups = 0, first = 0;  ///< the first group's first output
  std::int64_t tile = 0, row = 0;
  std::int64_t left = 0;  ///< positions
};

/// The next `count` positions.
template <class V, bool real, bool bytes>
[[gnu::always_inline]] inline void write_positions(const TileSweep& s, Block<V>& b,
                                                   std::int64_t count) {
  const ProductEpilogue f = s.epilogue;  // of which no store may change anything
  const std::int64_t step = s.result_step * f.outputs, left = f.outputs - b.first;
  count = count < b.left ? count : b.left;
  b.left -= count;
  while (count > 0) {
    const std::int64_t in_tile = s.tile_rows - b.row, rows = count < in_tile ? count : in_tile;
    std::int64_t at = (b.result[b.tile] + b.row * s.result_step) * f.outputs + b.first;
    const std::int32_t* sums = b.sums[b.tile * b.groups] + b.row * group_outputs;
    const auto write = [&](std::int64_t group, std::int64_t outputs)
        __attribute__((always_inline)) {
      const std::int64_t first = group * group_outputs;
      write_outputs<V, real, bytes, float>(f, b.first + first, at + first, outputs,
                                           sums + first * tile_positions);
    };
    // Of whole groups the compiler is told, for speed.
    if (b.groups == 2 && left >= 2 * group_outputs) {
      for (std::int64_t r = 0; r < rows; ++r, at += step, sums += group_outputs) {
        write(0, group_outputs);
        write(1, group_outputs);
      }
    } else if (b.groups == 1 && left >= group_outputs) {
      for (std::int64_t r = 0; r < rows; ++r, at += step, sums += group_outputs)
        write(0, group_outputs);
    } else {
      for (std::int64_t r = 0; r < rows; ++r, at += step, sums += group_outputs)
        for (std::int64_t g = 0; g < b.groups; ++g) {
          const std::int64_t outputs = left - g * group_outputs;
          write(g, outputs < group_outputs ? outputs : group_outputs);
        }
    }
    count -= rows;
    b.row += rows;
    if (b.row == s.tile_rows) b.row = 0, ++b.tile;
  }
}

template <class V, int tiles, int groups, bool real, bool bytes>
void multiply_block(const TileSweep& s, std::int64_t tile, std::int64_t group, Block<V>& b) {
  constexpr auto all_tiles = typename NumbersTo<tiles>::Type{};
  constexpr auto all_groups = typename NumbersTo<groups>::Type{};
  const PositionTile* const at = s.tiles + tile;
  const std::int64_t chunk = s.run < tile_words ? s.run : tile_words, chunks = s.run / chunk;
  const std::int64_t row_words = s.run * group_outputs, group_words = s.rows * row_words;
  std::int64_t from = s.rows, to = 0;
  for (int t = 0; t < tiles; ++t) {
    from = at[t].first.from < from ? at[t].first.from : from;
    to = at[t].first.to > to ? at[t].first.to : to;
  }

  // All positions start with the same sums: rows that lie 0 bytes apart.
  const std::int32_t* const start =
      s.start + ((from * (s.rows + 1) + to) * s.groups + group) * group_outputs;
  const auto start_group = [&]<int g, int... t>(Numbers<g>, Numbers<t...>)
      __attribute__((always_inline)) {
    (load_tile<t * groups + g>(start + g * group_outputs, 0), ...);
  };
  [&]<int... g>(Numbers<g...>) __attribute__((always_inline)) {
    (start_group(Numbers<g>{}, all_tiles), ...);
  }
  (all_groups);

  const std::int64_t x_stride = 4 * s.x_step, steps = (to - from) * chunks;
  constexpr std::int64_t fewest = 2;  // at once
  const std::int64_t share = steps > 0 ? (b.left + steps - 1) / steps : 0;
  const std::int64_t in_step = share > fewest ? share : fewest;
  const std::uint32_t* w = s.weight + group * group_words + from * row_words;
  for (std::int64_t r = from; r < to; ++r) {
    const std::uint32_t* x[tiles];
#pragma GCC unroll 4
    for (int t = 0; t < tiles; ++t) x[t] = s.images + at[t].first.at + r * s.row_stride;
    for (std::int64_t c = 0; c < chunks; ++c, w += chunk * group_outputs) {
      [&]<int... g>(Numbers<g...>) __attribute__((always_inline)) {
        (load_tile<first_weight + g>(w + g * group_words, 4 * group_outputs), ...);
      }
      (all_groups);
      const auto multiply = [&]<int t, int... g>(Numbers<t>, Numbers<g...>)
          __attribute__((always_inline)) {
        load_tile<first_x + t % 2>(x[t], x_stride);
        x[t] += chunk;
        (multiply_tiles<t, g, groups>(), ...);
      };
      [&]<int... t>(Numbers<t...>) __attribute__((always_inline)) {
        (multiply(Numbers<t>{}, all_groups), ...);
      }
      (all_tiles);
      write_positions<V, real, bytes>(s, b, in_step);
    }
  }
  write_positions<V, real, bytes>(s, b, b.left);  // some only where windows are all padding

  const auto store = [&]<int t, int... g>(Numbers<t>, Numbers<g...>)
      __attribute__((always_inline)) {
    b.result[t] = at[t].result;
    (store_tile<t * groups + g>(b.sums[t * groups + g], 4 * group_outputs), ...);
  };
  [&]<int... t>(Numbers<t...>) __attribute__((always_inline)) {
    (store(Numbers<t>{}, all_groups), ...);
  }
  (all_tiles);
  b.groups = groups;
  b.first = group * group_outputs;
  b.left = tiles * s.tile_rows;
  b.tile = b.row = 0;
}

template <class V, bool real, bool bytes>
void multiply_all(const TileSweep& s) {
  Block<V> b;
  for (std::int64_t group = 0; group < s.groups;) {
    const bool pair = s.groups - group > 1;
    for (std::int64_t tile = 0; tile < s.count;) {
      const std::int64_t left = s.count - tile;
      if (pair && left > 1) {
        multiply_block<V, 2, 2, real, bytes>(s, tile, group, b);
        tile += 2;
      } else if (pair) {
        multiply_block<V, 1, 2, real, bytes>(s, tile, group, b);
        ++tile;
      } else if (left > 3) {
        multiply_block<V, 4, 1, real, bytes>(s, tile, group, b);
        tile += 4;
      } else {
        multiply_block<V, 1, 1, real, bytes>(s, tile, group, b);
        ++tile;
      }
    }
    group += pair ? 2 : 1;
  }
  write_positions<V, real, bytes>(s, b, b.left);
}

template <class V>
void sweep_tiles(const TileSweep& s) {
  const std::int64_t chunk = s.run < tile_words ? s.run : tile_words;
  // The palette, and from 16 and 48 on the bytes of a row and the rows of each tile. Volatile, for
  // the compiler knows that LDTILECFG reads the first 8 bytes, but not of all 64.
  alignas(64) volatile std::uint8_t configuration[64];
  for (int i = 0; i < 64; ++i) configuration[i] = 0;
  configuration[0] = 1;
  for (int t = 0; t < 8; ++t) {
    const bool is_weight = t >= first_weight && t < first_x;
    configuration[16 + 2 * t] =
        static_cast<std::uint8_t>(4 * (t < first_x ? group_outputs : chunk));
    configuration[48 + t] = static_cast<std::uint8_t>(is_weight ? chunk : s.tile_rows);
  }
  _tile_loadconfig(const_cast<const std::uint8_t*>(configuration));
  for_target(
      s.epilogue.target, [&]<bool real, bool bytes>()
                             __attribute__((always_inline)) { multiply_all<V, real, bytes>(s); });
  _tile_release();
}

}  // namespace

void amx_sweep(const TileSweep& sweep) { sweep_tiles<Amx>(sweep); }

}  // namespace pixeldp::kernels::cpu
