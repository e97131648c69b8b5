#pragma once

#include <cstdint>
#include <memory>

#include "pixeldp/model.hpp"
#include "pixeldp/sampling_loop.hpp"

namespace pixeldp {

/// Evaluates many noise draws of many images of a regression network; all that Sampler says holds
/// here. Elsewhere than on a processor, the last layer and its counts are still made there.
class OutputSampler {
 public:
  /// Throws a usage error for a network without a real output.
  OutputSampler(const Device& device, const layers::NetworkSpec& spec,
                const layers::Network& network, std::int64_t micro_batch = 0,
                const BodyPrecision& precision = {});

  void run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
           const OutputSamplingLoop::Consumer& consume);

  /// What it evaluates after the noise.
  const BodyFunction& function() const { return function_; }

 private:
  BodyFunction function_;
  std::unique_ptr<OutputSamplingLoop> loop_;
};

}  // namespace pixeldp
