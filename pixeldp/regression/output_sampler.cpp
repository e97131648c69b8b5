#include "pixeldp/regression/output_sampler.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "pixeldp/sampler.hpp"

namespace pixeldp {

OutputSampler::OutputSampler(const Device& device, const layers::NetworkSpec& spec,
                             const layers::Network& network, std::int64_t micro_batch,
                             const BodyPrecision& precision) {
  if (!spec.output)
    fail_usage("{} as it is here is a classifier: it has no real output", spec.architecture);
  if (micro_batch < 0) fail_usage("a micro-batch needs at least one row, not {}", micro_batch);
  if (micro_batch == 0) micro_batch = Sampler::default_micro_batch(device);
  micro_batch = std::min(micro_batch, Sampler::largest_micro_batch(device, network));
  const Stream stream(device);
  const kernels::NetworkPlan plan = lower(stream, network);
  function_ = body_function(device, precision, plan.body);
  loop_ = device.kind == DeviceKind::cpu
              ? make_host_sampling_loop(plan, *spec.output, micro_batch, precision)
              : make_device_sampling_loop(stream, plan, *spec.output, micro_batch, precision);
}

void OutputSampler::run(std::int64_t images, const DrawRange& draws, const ImageSource& source,
                        const OutputSamplingLoop::Consumer& consume) {
  check_draws(draws);
  if (images > 0) loop_->run(images, draws, source, consume);
}

}  // namespace pixeldp
