#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/ball.hpp"

/// Steps in a ball around a picture: what is done to each value, written once for processors and
/// the threads of a GPU, and on processors to a picture (in kernels/cuda/ball.cu: by a block).
namespace pixeldp::kernels::ball {

/// A norm is norm_of(fold of all x): from 0 on, folded(norm, what was, term(norm, x)).
constexpr double term(BallNorm norm, double x) {
  return norm == BallNorm::l2 ? x * x : x < 0.0 ? -x : x;
}
constexpr double folded(BallNorm norm, double sum, double term) {
  if (norm == BallNorm::linf) return sum < term ? term : sum;
  return sum + term;
}
[[gnu::always_inline]] constexpr double norm_of(BallNorm norm, double sum) {
  return norm == BallNorm::l2 ? std::sqrt(sum) : sum;
}

/// `length` against a gradient of this norm, which is not 0.
constexpr float moved(BallNorm norm, float x, float gradient, double of_gradient, double length) {
  const double g = gradient, sign = g > 0.0 ? 1.0 : g < 0.0 ? -1.0 : 0.0;
  return static_cast<float>(x - length * (norm == BallNorm::linf ? sign : g / of_gradient));
}

/// What is left of the way from the centre is that share.
constexpr float shortened(float centre, double share, float x) {
  const double c = centre;
  return static_cast<float>(c + share * (static_cast<double>(x) - c));
}

constexpr float clamped(float x, float lowest, float highest) {
  return x < lowest ? lowest : highest < x ? highest : x;
}

/// Not farther than `size` from the centre, rounding included.
[[gnu::always_inline]] constexpr float clipped(float centre, double size, float x) {
  const double c = centre, far = x;
  const auto near = static_cast<float>(far < c - size ? c - size : c + size < far ? c + size : far);
  const double left = static_cast<double>(near) - c;
  return left > size || -left > size ? std::nextafter(near, centre) : near;
}

/// A picture that rounding left too far away is shortened again, to so much of what was aimed at.
inline constexpr double closer = 1.0 - 1e-5;

template <class At>
double norm_of_all(BallNorm norm, std::int64_t count, const At& at) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum = folded(norm, sum, term(norm, at(i)));
  return norm_of(norm, sum);
}

inline double distance(BallNorm norm, std::int64_t count, const float* a, const float* b) {
  return norm_of_all(norm, count,
                     [=](std::int64_t i) { return static_cast<double>(a[i]) - double{b[i]}; });
}

/// x -= length * d, where d points along the gradient and has length 1 in the norm: the gradient
/// divided by its norm (1 and 2), its signs (inf). A gradient of zeros moves nothing.
inline void step_against(BallNorm norm, std::int64_t count, const float* gradient, double length,
                         float* x) {
  const double of_gradient =
      norm_of_all(norm, count, [=](std::int64_t i) { return static_cast<double>(gradient[i]); });
  if (of_gradient == 0.0) return;
  for (std::int64_t i = 0; i < count; ++i)
    x[i] = moved(norm, x[i], gradient[i], of_gradient, length);
}

inline void shorten(std::int64_t count, const float* centre, double share, float* x) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = shortened(centre[i], share, x[i]);
}

/// Puts x back into the ball around the centre, shortened towards it (1 and 2) or clipped (inf),
/// with pixels from `lowest` to `highest`, of which the centre's are.
inline void project(BallNorm norm, std::int64_t count, const float* centre, double size,
                    float lowest, float highest, float* x) {
  // Towards the centre, so that no picture of the ball leaves it.
  for (std::int64_t i = 0; i < count; ++i) x[i] = clamped(x[i], lowest, highest);
  if (norm == BallNorm::linf) {
    for (std::int64_t i = 0; i < count; ++i) x[i] = clipped(centre[i], size, x[i]);
    return;
  }
  double aimed_at = size;
  for (double now; (now = distance(norm, count, centre, x)) > size; aimed_at *= closer)
    shorten(count, centre, aimed_at / now, x);
}

}  // namespace pixeldp::kernels::ball
