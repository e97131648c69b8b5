#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/error.hpp"
#include "kernels/inference.hpp"
#include "layers/network.hpp"

namespace pixeldp::tests {

/// The scores of a network without its noise, as certification calculates them. Throws an Error
/// where an activation follows the noise in the same pass.
class PlanScores {
 public:
  explicit PlanScores(const layers::Network& network)
      : plan_(lower(Stream(), network)),
        prefix_(kernels::prepare_inference(plan_.prefix, kernels::Precision::fp32)),
        body_(kernels::prepare_inference(plan_.body, kernels::Precision::fp32)) {
    if (!plan_.noise_activation.is_identity()) fail("an activation is a part of the noise");
  }

  /// Of an image [H, W, C].
  std::vector<double> operator()(std::span<const float> image) const {
    const auto start = run(*prefix_, image.data(), plan_.noise_size());
    const auto features = run(*body_, start.data(), plan_.features());
    std::vector<double> made;
    for (std::size_t c = 0; c < static_cast<std::size_t>(plan_.classes); ++c) {
      double sum = plan_.head_bias[c];
      for (std::size_t i = 0; i < features.size(); ++i)
        sum += double{plan_.head_weight[c * features.size() + i]} * double{features[i]};
      made.push_back(sum);
    }
    return made;
  }

 private:
  static std::vector<float> run(const kernels::Inference& part, const float* x, std::int64_t size) {
    const Memory workspace({}, static_cast<std::size_t>(part.workspace_size()));
    std::vector<float> y(static_cast<std::size_t>(size));
    part.run(1, x, y.data(), workspace.data());
    return y;
  }

  kernels::NetworkPlan plan_;
  std::unique_ptr<kernels::Inference> prefix_, body_;
};

}  // namespace pixeldp::tests
