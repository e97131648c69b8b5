#pragma once

#include <cstdint>

#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/cpu/vector.hpp"
#include "kernels/formulas/statistics.hpp"

/// The last dense layer and the softmax statistics. Vector types shorter than statistics_lanes use
/// several vectors, so the order of the sums is the same for all.
///
/// A tile of V::tile_rows x V::tile_classes dot products lives in registers: each weight that is
/// loaded serves all rows of the tile.
namespace pixeldp::kernels::cpu {

template <class V, int rows, int classes>
[[gnu::always_inline]] inline void multiply_tile(const LogitsTile& t, std::int64_t first_class) {
  constexpr int parts = statistics_lanes / V::lanes;
  using Floats = typename V::Floats;
  const float* weight = t.weight + first_class * t.width;
  Floats sum[rows][classes][parts] = {};
  const auto accumulate = [&](auto load_part, std::int64_t k) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int part = 0; part < parts; ++part) {
      const std::int64_t i = k + part * V::lanes;
      Floats x[rows];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) x[r] = load_part(t.features[r], i);
#pragma GCC unroll 8
      for (int c = 0; c < classes; ++c) {
        const Floats w = load_part(weight + c * t.width, i);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) sum[r][c][part] = V::fma(x[r], w, sum[r][c][part]);
      }
    }
  };
  std::int64_t k = 0;
  for (; k + statistics_lanes <= t.width; k += statistics_lanes)
    accumulate([](const float* p, std::int64_t i) { return load<V>(p + i); }, k);
  if (k < t.width) {
    accumulate(
        [&t](const float* p, std::int64_t i) {
          const std::int64_t left = t.width - i;
          return V::load_partial(p + i, left < 0 ? 0 : left < V::lanes ? left : V::lanes);
        },
        k);
  }
#pragma GCC unroll 8
  for (int c = 0; c < classes; ++c) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const float bias = t.bias ? t.bias[first_class + c] : 0.0f;
      t.logits[r * t.stride + first_class + c] = V::sum(sum[r][c]) + bias;
    }
  }
}

template <class V, int rows, int classes>
void multiply_rest(const LogitsTile& t, std::int64_t first_class) {
  if constexpr (classes > 0) {
    if (t.classes - first_class >= classes)
      multiply_tile<V, rows, classes>(t, first_class);
    else
      multiply_rest<V, rows, classes - 1>(t, first_class);
  }
}

template <class V, int rows>
void logits_of(const LogitsTile& t) {
  std::int64_t c = 0;
  for (; c + V::tile_classes <= t.classes; c += V::tile_classes)
    multiply_tile<V, rows, V::tile_classes>(t, c);
  multiply_rest<V, rows, V::tile_classes - 1>(t, c);
}

template <class V>
void logits(const LogitsTile& t) {
  if (t.rows == V::tile_rows) {
    logits_of<V, V::tile_rows>(t);
    return;
  }
  for (int r = 0; r < t.rows; ++r) {
    LogitsTile one = t;
    one.features[0] = t.features[r];
    one.logits = t.logits + r * t.stride;
    logits_of<V, 1>(one);
  }
}

/// Adds the scores as integers to total[0 ...].
template <class V>
[[gnu::always_inline]] inline void add_fixed_point(std::uint64_t* total,
                                                   typename V::Doubles score) {
  typename V::Wides sum;
  __builtin_memcpy(&sum, total, sizeof sum);
  sum += fixed_point<V>(score);
  __builtin_memcpy(total, &sum, sizeof sum);
}

template <class V>
bool add_scores(float* logits, std::int64_t classes, const LocalStatistics& statistics) {
  using Floats = typename V::Floats;
  using Doubles = typename V::Doubles;
  constexpr int lanes = V::lanes, parts = statistics_lanes / lanes, half = lanes / 2;
  const std::int64_t padded =
      (classes + statistics_lanes - 1) / statistics_lanes * statistics_lanes;
  using Ints = typename V::Ints;
  Ints lane = {};
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) lane[i] = i;
  const auto load_padded = [&](std::int64_t c, float padding) {
    const auto left = static_cast<std::int32_t>(classes - c);
    return lane < left ? load<V>(logits + c) : all<V>(padding);
  };

  const float first = logits[0];
  Floats highest = all<V>(first), zero = all<V>(0.0f);
  for (std::int64_t c = 0; c < padded; c += lanes) {
    const Floats x = load_padded(c, first);
    highest = V::max(highest, x);
    zero += x * 0.0f;  // not a number if x is not finite
  }
  if (V::equal_mask(zero, zero) != V::full_mask) return false;
  const float top = V::highest(highest);

  std::int64_t vote = -1;
  for (std::int64_t c = 0; vote < 0; c += lanes) {
    const unsigned equal = V::equal_mask(load_padded(c, first), all<V>(top));
    if (equal != 0) vote = c + __builtin_ctz(equal);
  }
  ++statistics.votes[vote];

  // Padding scores exp(-86), far below the last bit of the sum, which is at least 1.
  Doubles sum[2 * parts] = {};
  for (std::int64_t c = 0; c < padded; c += statistics_lanes) {
#pragma GCC unroll 8
    for (int part = 0; part < parts; ++part) {
      const Floats e = exp_nonpositive<V>(load_padded(c + part * lanes, -__builtin_inff()) - top);
      store<V>(logits + c + part * lanes, e);
      sum[2 * part] += V::lower_doubles(e);
      sum[2 * part + 1] += V::upper_doubles(e);
    }
  }
  const double total = V::sum(sum);
  for (std::int64_t c = 0; c < padded; c += lanes) {
    const Floats e = load<V>(logits + c);
    const Doubles lower = V::lower_doubles(e) / total, upper = V::upper_doubles(e) / total;
    add_fixed_point<V>(statistics.sums + c, lower);
    add_fixed_point<V>(statistics.sums + c + half, upper);
    add_fixed_point<V>(statistics.squares + c, lower * lower);
    add_fixed_point<V>(statistics.squares + c + half, upper * upper);
  }
  return true;
}

}  // namespace pixeldp::kernels::cpu
