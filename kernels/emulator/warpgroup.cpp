#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/error.hpp"
#include "kernels/emulator/async.hpp"

namespace pixeldp::emulator {
namespace {

constexpr unsigned all_lanes = ~0u;
constexpr int warp_rows = 16, depth_bytes = 32, most_depth = 32, most_columns = 256;
constexpr std::uint32_t poison_bits = 0xffffffff;

/// A matrix descriptor ("wgmma: Matrix Descriptor Format") of what lies swizzled: rows of A, or
/// columns of B, with values of k side by side, or, transposed, values of k with rows side by side.
/// Or of core matrices, eight rows of a chunk of 16 bytes of values of k.
struct Operand {
  std::size_t start;    // offset in shared memory
  std::size_t leading;  // in bytes, transposed: from a span of rows to the next; of core matrices:
                        // from a chunk to that of the next values of k
  std::size_t stride;   // in bytes, from eight rows, or eight values of k, to the next eight
  unsigned span;        // of the swizzle, and the bytes from one of those to the next; 0: none
  bool transposed;
  std::size_t value_bytes;

  /// Of the chunk of 16 bytes of values, of k or, transposed, of rows, that begins with these.
  std::size_t chunk(int row, int k) const {
    std::size_t along = static_cast<std::size_t>(k), across = static_cast<std::size_t>(row);
    if (transposed) std::swap(along, across);
    along *= value_bytes;
    if (span == 0)
      return start + across / 8 * stride + across % 8 * AsyncState::chunk_bytes +
             along / AsyncState::chunk_bytes * leading;
    return swizzled(
        start + across / 8 * stride + across % 8 * span + along / span * leading + along % span,
        span);
  }
};

Operand decode(Block& block, std::uint64_t descriptor, bool transposed, std::size_t value_bytes) {
  constexpr const char* what = "wgmma.mma_async";
  const auto bytes = [&](int shift) { return std::size_t{descriptor >> shift & 0x3fff} << 4; };
  const unsigned mode = static_cast<unsigned>(descriptor >> 62);
  if (mode == 0 && transposed)
    block.report(fmt::format("{}: the emulator takes transposed operands swizzled only", what));
  const unsigned span = mode == 0 ? 0 : 256u >> mode;  // 128, 64, 32
  const Operand operand = {
      bytes(0) - shared_window, bytes(16), bytes(32), span, transposed, value_bytes};
  // Values of k that lie side by side may begin within a row.
  if ((descriptor >> 49 & 7) != 0 ||
      (span > 0 && operand.start % (8 * span) >= (transposed ? 1 : span)))
    block.report(
        fmt::format("{}: an operand at offset {} does not begin with the first of the eight "
                    "rows of {} bytes that a swizzle is made of",
                    what, operand.start, span));
  return operand;
}

/// Of a bf16, and of a byte.
float number(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
float number(std::int8_t value) { return value; }

/// The i-th sum of a lane, whatever its type.
std::uint32_t load_sum(const std::byte* d, int i) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, d + sizeof bits * static_cast<std::size_t>(i), sizeof bits);
  return bits;
}
void store_sum(std::byte* d, int i, std::uint32_t bits) {
  std::memcpy(d + sizeof bits * static_cast<std::size_t>(i), &bits, sizeof bits);
}

std::size_t value_bytes(const AsyncState::Factors& factors) { return factors.bytes ? 1 : 2; }

/// Whether there is a product of so many columns.
bool has_columns(const AsyncState::Factors& factors) {
  const int n = factors.n, multiple = factors.bytes && n > 32 ? 16 : 8;
  return n >= 8 && n <= most_columns && n % multiple == 0;
}

/// What 32 bits are after a sum is added to them, which is exact.
std::uint32_t added(std::uint32_t bits, double sum, bool integers) {
  if (integers) return bits + static_cast<std::uint32_t>(static_cast<std::int64_t>(sum));
  const float value = static_cast<float>(sum + double{std::bit_cast<float>(bits)});
  return std::isnan(value) ? 0x7fffffffu : std::bit_cast<std::uint32_t>(value);
}

/// The sums of a lane: f(register, row, column) for each.
template <class F>
void for_each_sum(int n, int lane, F f) {
  for (int i = 0; i < n / 2; ++i) f(i, lane / 4 + i / 2 % 2 * 8, i / 4 * 8 + lane % 4 * 2 + i % 2);
}

/// f(async, warp, lanes) once, for a warp whose lanes are all there; lanes: what each gave as its
/// operand.
template <auto f>
void whole_warp(const char* what, void* operand, const Location& where) {
  struct Named {
    void* operand;
    const char* what;
  } named = {operand, what};
  Block::current(what).together(
      all_lanes, what,
      [](void* const* lanes, unsigned present) {
        const char* const name = static_cast<Named*>(lanes[std::countr_zero(present)])->what;
        Block& block = Block::current(name);
        if (present != all_lanes)
          block.report(
              fmt::format("{} needs a whole warp, but some of its lanes have returned", name));
        require_sm_90(block, name);
        void* operands[32];
        for (int lane = 0; lane < 32; ++lane)
          operands[lane] = static_cast<Named*>(lanes[lane])->operand;
        f(block.async(), block.linear_thread() / 32, operands);
      },
      &named, where);
}

void start_product(AsyncState::Operands operands, const Location& where) {
  whole_warp<[](AsyncState& async, unsigned warp, void* const* lanes) {
    async.start_product(warp, lanes);
  }>("wgmma.mma_async", &operands, where);
}

}  // namespace

template <class F>
void AsyncState::for_each_chunk(const Factors& factors, std::uint64_t descriptor, int first_row,
                                int rows, F f) const {
  const Operand operand = decode(block_, descriptor, factors.transposed, value_bytes(factors));
  const int chunk_values = static_cast<int>(chunk_bytes / operand.value_bytes);
  const int depth = static_cast<int>(depth_bytes / operand.value_bytes);
  for (int row = 0; row < rows; row += factors.transposed ? chunk_values : 1)
    for (int k = 0; k < depth; k += factors.transposed ? 1 : chunk_values)
      f(operand.chunk(first_row + row, k), row, k);
}

/// To the lanes' registers, or from them, which then hold what is no number.
void AsyncState::exchange(Sums& sums, bool to_registers) {
  for (int lane = 0; lane < 32; ++lane) {
    for_each_sum(sums.n, lane, [&](int i, int row, int column) {
      std::uint32_t& bits = sums.bits[static_cast<std::size_t>(row * sums.n + column)];
      if (to_registers) {
        store_sum(sums.d[lane], i, bits);
      } else {
        bits = load_sum(sums.d[lane], i);
        store_sum(sums.d[lane], i, poison_bits);
      }
    });
  }
}

void AsyncState::start_product(unsigned w, void* const* lanes) {
  constexpr const char* what = "wgmma.mma_async";
  const auto operand = [&](int lane) -> const Operands& {
    return *static_cast<const Operands*>(lanes[lane]);
  };
  const Factors& factors = operand(0).factors;
  for (int lane = 1; lane < 32; ++lane)
    if (operand(lane).factors != factors)
      block_.report(fmt::format("{}: lanes 0 and {} have different operands", what, lane));
  const int n = factors.n;
  if (!has_columns(factors)) block_.report(fmt::format("{}: {} columns", what, n));
  if (!block_.has_warp(w | 3))
    block_.report(fmt::format("{}: warp {} is of no whole warpgroup", what, w));
  Warp& warp = warps_[w];
  std::vector<Factors>& started = started_[w / 4];
  if (warp.started == started.size())
    started.push_back(factors);
  else if (started[warp.started] != factors)
    block_.report(fmt::format("{}: the warps of a warpgroup have different operands in product {}",
                              what, warp.started));
  ++warp.started;

  open_chunks();
  const auto read = [&](std::size_t chunk, int, int) {
    block_.check_shared(block_.shared() + chunk, chunk_bytes, chunk_bytes, what);
    if (writers_[chunk / chunk_bytes] > 0)
      block_.report(fmt::format("{}: an operand at offset {}, to where a bulk copy is under way",
                                what, chunk));
    ++readers_[chunk / chunk_bytes];
  };
  for_each_chunk(factors, factors.a, static_cast<int>(w % 4) * warp_rows, warp_rows, read);
  for_each_chunk(factors, factors.b, 0, n, read);

  auto sums = std::find_if(warp.sums.begin(), warp.sums.end(),
                           [&](const Sums& other) { return other.d[0] == operand(0).d; });
  if (sums == warp.sums.end()) {
    if (!warp.fenced)
      block_.report(
          fmt::format("{}: no wgmma.fence since the registers of its sums were written, or "
                      "since results were waited for",
                      what));
    Sums made;
    for (int lane = 0; lane < 32; ++lane) made.d[lane] = static_cast<std::byte*>(operand(lane).d);
    made.n = n;
    made.bits.resize(static_cast<std::size_t>(warp_rows * n));
    exchange(made, false);
    sums = warp.sums.insert(warp.sums.end(), std::move(made));
  } else {
    for (int lane = 0; lane < 32; ++lane) {
      bool touched = sums->n != n || sums->d[lane] != operand(lane).d;
      for (int i = 0; !touched && i < n / 2; ++i)
        touched = load_sum(sums->d[lane], i) != poison_bits;
      if (touched)
        block_.report(
            fmt::format("{}: sums of lane {} were changed, or are other ones, while a product "
                        "on them is under way",
                        what, lane));
    }
  }
  ++sums->products, ++products_;
  warp.products.push_back({factors, sums, warp.groups});
}

void AsyncState::multiply(unsigned w, Product& product) {
  Sums& sums = *product.sums;
  const Factors& factors = product.factors;
  const int n = sums.n, depth = static_cast<int>(depth_bytes / value_bytes(factors));
  float a[warp_rows][most_depth], b[most_depth][most_columns];  // exact; stacks are short
  const auto load = [&](std::size_t chunk, auto put) {
    block_.note_async(w * 32, block_.shared() + chunk, chunk_bytes, Access::read);
    --readers_[chunk / chunk_bytes];
    const auto load_values = [&](auto value_of) {
      using Value = decltype(value_of);
      constexpr int count = chunk_bytes / sizeof(Value);
      Value values[count];
      std::memcpy(values, block_.shared() + chunk, chunk_bytes);
      for (int i = 0; i < count; ++i) put(i, values[i]);
    };
    factors.bytes ? load_values(std::int8_t{}) : load_values(std::uint16_t{});
  };
  const int next_row = factors.transposed ? 1 : 0, next_k = 1 - next_row;  // within a chunk
  for_each_chunk(factors, factors.a, static_cast<int>(w % 4) * warp_rows, warp_rows,
                 [&](std::size_t chunk, int row, int k) {
                   load(chunk, [&](int i, auto value) {
                     a[row + i * next_row][k + i * next_k] = number(value);
                   });
                 });
  for_each_chunk(factors, factors.b, 0, n, [&](std::size_t chunk, int row, int k) {
    load(chunk, [&](int i, auto value) { b[k + i * next_k][row + i * next_row] = number(value); });
  });
  for (int row = 0; row < warp_rows; ++row) {
    double sum[most_columns] = {};
    for (int k = 0; k < depth; ++k) {
      const double factor = a[row][k];
#pragma omp simd
      for (int column = 0; column < n; ++column) sum[column] += factor * double{b[k][column]};
    }
    for (int column = 0; column < n; ++column) {
      std::uint32_t& bits = sums.bits[static_cast<std::size_t>(row * n + column)];
      bits = added(bits, sum[column], factors.bytes);
    }
  }
  --sums.products, --products_;
}

void AsyncState::wait_products(unsigned w, std::uint64_t pending) {
  Warp& warp = warps_[w];
  const std::uint64_t groups = warp.groups > pending ? warp.groups - pending : 0;
  const auto end = std::find_if(warp.products.begin(), warp.products.end(),
                                [groups](const Product& p) { return p.group >= groups; });
  if (end == warp.products.begin()) return;
  for (auto product = warp.products.begin(); product != end; ++product) multiply(w, *product);
  warp.products.erase(warp.products.begin(), end);
  for (auto sums = warp.sums.begin(); sums != warp.sums.end();) {
    if (sums->products > 0) {
      ++sums;
      continue;
    }
    exchange(*sums, true);
    sums = warp.sums.erase(sums);
    warp.fenced = false;
  }
  block_.end_products(w);
}

// ---- The instructions

void wgmma_fence(const Location& where) {
  whole_warp<[](AsyncState& async, unsigned warp, void* const*) { async.fence_products(warp); }>(
      "wgmma.fence", nullptr, where);
}

void wgmma_bf16(float* d, int n, std::uint64_t a, std::uint64_t b, bool transposed,
                const Location& where) {
  start_product({d, {a, b, n, false, transposed}}, where);
}

void wgmma_s8(std::int32_t* d, int n, std::uint64_t a, std::uint64_t b, const Location& where) {
  start_product({d, {a, b, n, true, false}}, where);
}

void wgmma_commit(const Location& where) {
  whole_warp<[](AsyncState& async, unsigned warp, void* const*) { async.commit_products(warp); }>(
      "wgmma.commit_group", nullptr, where);
}

void wgmma_wait(int pending_groups, const Location& where) {
  auto pending = static_cast<std::uint64_t>(pending_groups);
  whole_warp<[](AsyncState& async, unsigned warp, void* const* lanes) {
    async.wait_products(warp, *static_cast<std::uint64_t*>(lanes[0]));
  }>("wgmma.wait_group", &pending, where);
}

void set_registers(int count, const Location& where) {
  constexpr const char* what = "setmaxnreg";
  if (count < 24 || count > 256 || count % 8 != 0)
    Block::current(what).report(fmt::format("{}: {} registers", what, count));
  whole_warp<[](AsyncState&, unsigned, void* const*) {}>(what, nullptr, where);
}

}  // namespace pixeldp::emulator
