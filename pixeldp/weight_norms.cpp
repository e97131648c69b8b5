#include "pixeldp/weight_norms.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.hpp"

namespace pixeldp {

namespace {

constexpr double least_norm = 1e-12;

// Divides each of the slices that `slice_of(out channel, in channel)` tells apart by its norm.
template <typename SliceOf>
void normalise(std::span<float> weight, const ConvGeometry& g, std::int64_t slices, bool two_norm,
               SliceOf slice_of) {
  if (std::ssize(weight) != g.weight_size())
    fail("normalisation: the weight holds {} values, but its shape needs {}", weight.size(),
         g.weight_size());
  const auto taps = static_cast<std::size_t>(g.kernel_h * g.kernel_w);
  std::vector<double> norms(static_cast<std::size_t>(slices), 0.0);
  const auto for_each_slice = [&](auto visit) {
    std::size_t at = 0;
    for (std::int64_t o = 0; o < g.out_c; ++o)
      for (std::int64_t i = 0; i < g.in_c; ++i, at += taps)
        visit(norms[static_cast<std::size_t>(slice_of(o, i))], weight.subspan(at, taps));
  };
  for_each_slice([&](double& norm, std::span<const float> values) {
    for (const double value : values) norm += two_norm ? value * value : std::abs(value);
  });
  for (double& norm : norms) norm = std::max(two_norm ? std::sqrt(norm) : norm, least_norm);
  for_each_slice([&](double norm, std::span<float> values) {
    for (float& value : values) value = static_cast<float>(value / norm);
  });
}

}  // namespace

void normalise_columns(std::span<float> weight, const ConvGeometry& geometry, Mechanism mechanism) {
  const auto by_2_norm = [&] {
    switch (norm_of(mechanism)) {
      case AttackNorm::l1:
        return false;
      case AttackNorm::l2:
        return true;
      case AttackNorm::linf:
        break;
    }
    fail("normalisation: columns have a 1-norm and a 2-norm");
  };
  normalise(weight, geometry, geometry.in_c, by_2_norm(),
            [](std::int64_t, std::int64_t i) { return i; });
}

void normalise_rows(std::span<float> weight, const ConvGeometry& geometry) {
  normalise(weight, geometry, geometry.out_c, false,
            [](std::int64_t o, std::int64_t) { return o; });
}

}  // namespace pixeldp
