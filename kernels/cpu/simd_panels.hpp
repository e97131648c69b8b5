#pragma once

#include <cstdint>

#include "kernels/cpu/dense_kernels.hpp"
#include "kernels/cpu/simd_product.hpp"

/// Products of matrices whose weight comes in panels of V::panel_words words by 16 outputs,
/// compiled once per instruction set (see simd_kernels.hpp for what may be in here): those of dense
/// layers, and of Winograd's algorithm.
///
/// Work: V::panel_rows rows by V::panel_groups groups of outputs at a time, whose sums stay in
/// registers for one panel; that stays in the first cache while all rows pass, and the next one
/// comes into the second meanwhile. So each weight is read once for all rows; sums go to the second
/// cache and back between panels, which changes none of their bits.
namespace pixeldp::kernels::cpu {

/// One panel of the weight, and what it is multiplied by: sums[row][output] (+)= dot(x[row], w).
struct Panel {
  const std::uint32_t* x = nullptr;
  std::uint32_t* sums = nullptr;
  std::int64_t x_stride = 0, sum_stride = 0, count = 0;  // of rows
  const std::uint32_t* weight = nullptr;
  std::int64_t words = 0;
  bool more = false;  // not the first one
};

template <class V, class Products, int groups, int rows>
void multiply_rows(const Panel& panel, std::int64_t tile, const std::uint32_t* next) {
  using Sums = typename Products::Sums;
  using Words = typename V::Words;
  constexpr int parts = static_cast<int>(group_outputs) / V::lanes;
  constexpr int vectors = groups * parts;
  const std::int64_t words = panel.words, group_words = words * group_outputs;
  const std::uint32_t* x[rows];
  std::uint32_t* to[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {  // past the last tile it is calculated once more
    const std::int64_t last = panel.count - 1, at = tile + r < last ? tile + r : last;
    x[r] = panel.x + at * panel.x_stride;
    to[r] = panel.sums + at * panel.sum_stride;
  }
  Sums sums[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sums[r][v] = Sums{};
      if (panel.more) __builtin_memcpy(&sums[r][v], to[r] + v * V::lanes, sizeof(Sums));
    }
  const std::uint32_t* w = panel.weight;
  constexpr int unrolled = Products::unrolled;
  for (std::int64_t i = 0; i < words; i += unrolled, next += 4 * unrolled) {
    __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
    for (int u = 0; u < unrolled; ++u, w += group_outputs) {
      Words weight[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        __builtin_memcpy(&weight[v], w + v / parts * group_words + v % parts * V::lanes,
                         sizeof(Words));
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const Words word = Words{} + x[r][i + u];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sums[r][v] = Products::add(sums[r][v], word, weight[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      __builtin_memcpy(to[r] + v * V::lanes, &sums[r][v], sizeof(Sums));
}

template <class V, class Products, int groups>
void multiply_panel(const Panel& panel) {
  constexpr int rows = V::panel_rows, few = V::panel_few_rows;
  // A part of the next panel at a time comes into the second cache.
  constexpr int parts = 4 * groups;
  const std::int64_t of_part = panel.words * group_outputs / 4;
  const std::uint32_t* next = panel.weight + parts * of_part;
  for (std::int64_t tile = 0, part = 1; tile < panel.count; ++part) {
    if (panel.count - tile > few) {
      multiply_rows<V, Products, groups, rows>(panel, tile, next);
      tile += rows;
    } else {
      multiply_rows<V, Products, groups, few>(panel, tile, next);
      tile += few;
    }
    if (part < parts) next += of_part;
  }
}

/// All panels of a weight, [words, a panel at a time][group of outputs][word of the panel][output
/// of the group]; `outputs` is whole groups. The panel says where x, sums and weight begin, and
/// afterwards what follows the weight.
template <class V, class Products>
void multiply_panels(Panel& panel, std::int64_t words, std::int64_t outputs) {
  const std::uint32_t* const x = panel.x;
  std::uint32_t* const sums = panel.sums;
  for (std::int64_t i = 0; i < words; i += V::panel_words) {
    const std::int64_t left = words - i;
    panel.words = left < V::panel_words ? left : V::panel_words;
    panel.more = i > 0;
    panel.x = x + i;
    for (std::int64_t o = 0; o < outputs;) {
      panel.sums = sums + o;
      const bool whole = outputs - o >= V::panel_groups * group_outputs;
      if (whole)
        multiply_panel<V, Products, V::panel_groups>(panel);
      else
        multiply_panel<V, Products, 1>(panel);
      const std::int64_t made = (whole ? V::panel_groups : 1) * group_outputs;
      o += made;
      panel.weight += made * panel.words;
    }
  }
}

template <class V, class Products>
void dense(const DenseBlock& b) {
  using Sum = typename Products::Sum;
  const std::int64_t outputs = b.epilogue.outputs;
  Panel panel{.x = b.x,
              .sums = b.sums,
              .x_stride = b.words,
              .sum_stride = b.sum_stride,
              .count = b.count,
              .weight = b.weight};
  multiply_panels<V, Products>(panel, b.words, outputs);
  for_target(
      b.epilogue.target, [&]<bool real, bool bytes>() __attribute__((always_inline)) {
        for (std::int64_t r = 0; r < b.count; ++r)
          write_outputs<V, real, bytes, float>(
              b.epilogue, 0, (b.first + r) * outputs, outputs,
              reinterpret_cast<const Sum*>(b.sums + r * b.sum_stride));
      });
}

template <class V>
constexpr DenseFunction dense_bytes() {
  if constexpr (requires { &V::add_byte_products; })
    return dense<V, ByteProducts<V>>;
  else
    return nullptr;
}

template <class V>
inline constexpr DenseKernels dense_kernels = {
    dense<V, RealProducts<V>>, dense<V, ShortProducts<V>>, dense_bytes<V>(), V::panel_words};

}  // namespace pixeldp::kernels::cpu
