#include "layers/networks/resnet.hpp"

#include "engine/error.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/residual_groups.hpp"
#include "layers/networks/residual_unit.hpp"

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

void build_resnet(NetworkBuilder& net, const NetworkSpec& spec) {
  constexpr auto none = kernels::Activation::identity();
  constexpr std::int64_t first_channels = ResidualGroups::first_channels;
  Value x = net.start();
  x = net.convolution_and_noise(1, "conv1", x, {.out_c = first_channels, .activation = none});
  x = net.append<BatchNorm>({x}, "bn1", pytorch_norm(first_channels, kernels::Activation::relu()));
  groups_of(spec).for_each([&](const std::string& name, std::int64_t out_c, std::int64_t stride) {
    x = basic_block(net, name, x, out_c, stride);
  });
  x = net.append<GlobalAveragePool>({x}, "pool");
  net.dense("linear", x, spec.classes, none);
}

}  // namespace pixeldp::layers
