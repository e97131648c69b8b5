#include "kernels/pointwise.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/cpu/simd_kernels.hpp"

namespace pixeldp::kernels {
namespace {

using Kind = PointwiseFunction::Kind;

/// f'(x), where y = f(x).
float derivative(const PointwiseFunction& f, float x, float y) {
  switch (f.kind) {
    case Kind::clamp:
      return x > f.a && x < f.b ? 1.0f : 0.0f;
    case Kind::sigmoid:
      return y * (1.0f - y);
    case Kind::tanh:
      return 1.0f - y * y;
    case Kind::elu:
      return x > 0.0f ? 1.0f : y + f.a;
    case Kind::hard_sigmoid:
      return f.a * x + f.b > 0.0f && f.a * x + f.b < 1.0f ? f.a : 0.0f;
    case Kind::hard_swish:
      return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x / 3.0f + 0.5f;
  }
  fail("{} is no function", static_cast<int>(f.kind));
}

}  // namespace

Pointwise::Pointwise(const PointwiseFunction& function, std::int64_t size)
    : function_(function), size_(size), limits_{function.a, function.b} {
  const bool sound = function.kind == Kind::clamp
                         ? function.a <= function.b
                         : std::isfinite(function.a) && std::isfinite(function.b);
  if (!sound) fail("{} cannot have the parameters {} and {}", name(), function.a, function.b);
}

std::string_view Pointwise::name() const {
  switch (function_.kind) {
    case Kind::clamp:
      return "clamp";
    case Kind::sigmoid:
      return "sigmoid";
    case Kind::tanh:
      return "tanh";
    case Kind::elu:
      return "elu";
    case Kind::hard_sigmoid:
      return "hard sigmoid";
    case Kind::hard_swish:
      return "hard swish";
  }
  fail("{} is no function", static_cast<int>(function_.kind));
}

const RowOperation::Limits* Pointwise::limits() const {
  return function_.kind == Kind::clamp ? &limits_ : nullptr;
}

void Pointwise::run(std::span<const float* const> x, float* y) const {
  cpu::simd_kernels(cpu::best_instruction_set()).rows.pointwise(function_, size_, x[0], y);
}

void Pointwise::backward(std::span<const float* const> x, const float* y, const float* dy,
                         std::span<float* const> dx) const {
  if (!dx[0]) return;
  for (std::int64_t i = 0; i < size_; ++i) dx[0][i] = dy[i] * derivative(function_, x[0][i], y[i]);
}

}  // namespace pixeldp::kernels
