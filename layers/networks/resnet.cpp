#include "layers/networks/resnet.hpp"

#include "engine/error.hpp"
#include "layers/basic_block.hpp"
#include "layers/global_pool.hpp"
#include "layers/initialise.hpp"
#include "layers/networks/residual_groups.hpp"

namespace pixeldp::layers {

namespace {

ResidualGroups groups_of(const NetworkSpec& spec) { return {spec, 2, 1}; }

}  // namespace

void check_resnet(const NetworkSpec& spec) {
  groups_of(spec);
  if (spec.widening != 0) fail_usage("resnet has no width: it is wide-resnet that has");
  if (spec.slope) fail_usage("resnet has ReLU of slope 0: it is wide-resnet that has a slope");
  if (spec.noise_after_layers == 1 && !spec.noise_before_activation) {
    fail_usage(
        "resnet normalises between its first convolution and the activation, so the noise can only "
        "come before both");
  }
}

Network make_resnet(const NetworkSpec& spec, std::uint64_t seed) {
  constexpr auto none = kernels::Activation::identity();
  const ResidualGroups groups = groups_of(spec);
  const bool before_noise = spec.noise_after_layers == 1;
  Initialiser initialise(seed);

  Network net;
  net.noise.activation = none;
  auto conv = std::make_unique<Conv2d>(
      "conv1", Conv2d::Options{
                   .in_c = spec.channels,
                   .out_c = ResidualGroups::first_channels,
                   .activation = none,
                   .precision = before_noise ? kernels::Precision::fp32 : spec.training_precision});
  initialise.convolution(*conv, before_noise && spec.rescale_prefix);
  (before_noise ? net.prefix : net.body).push_back(std::move(conv));
  net.body.push_back(std::make_unique<BatchNorm>(
      "bn1", BatchNorm::Options{.channels = ResidualGroups::first_channels,
                                .epsilon = BasicBlock::epsilon,
                                .activation = kernels::Activation::relu()}));

  groups.for_each([&](const std::string& name, std::int64_t in_c, std::int64_t out_c,
                      std::int64_t stride) {
    auto block = std::make_unique<BasicBlock>(
        name,
        BasicBlock::Options{
            .in_c = in_c, .out_c = out_c, .stride = stride, .precision = spec.training_precision});
    initialise.convolution(block->conv1());
    initialise.convolution(block->conv2());
    net.body.push_back(std::move(block));
  });
  const std::int64_t features = groups.last_channels();
  net.body.push_back(std::make_unique<GlobalAveragePool>("pool"));
  net.head =
      std::make_unique<Dense>("linear", Dense::Options{.in = features,
                                                       .out = spec.classes,
                                                       .activation = none,
                                                       .precision = spec.training_precision});
  initialise.dense(*net.head);
  return net;
}

}  // namespace pixeldp::layers
