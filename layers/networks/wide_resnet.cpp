#include "layers/networks/wide_resnet.hpp"

#include "engine/error.hpp"
#include "layers/global_pool.hpp"
#include "layers/networks/residual_groups.hpp"
#include "layers/networks/residual_unit.hpp"

namespace pixeldp::layers {

namespace {

ResidualGroups groups_of(const NetworkSpec& spec) { return {spec, 4, spec.widening}; }

}  // namespace

void check_wide_resnet(const NetworkSpec& spec) {
  groups_of(spec);
  if (spec.slope && !(*spec.slope >= 0.0 && *spec.slope <= 1.0))
    fail_usage("wide-resnet takes activations of a slope from 0 to 1, not {}", *spec.slope);
}

void build_wide_resnet(NetworkBuilder& net, const NetworkSpec& spec) {
  constexpr double usual_slope = 0.1;
  const auto leaky =
      kernels::Activation::leaky_relu(static_cast<float>(spec.slope.value_or(usual_slope)));
  Value x = net.start();
  x = net.convolution_and_noise(1, "conv1", x,
                                {.out_c = ResidualGroups::first_channels, .activation = leaky});
  bool first = true;
  groups_of(spec).for_each([&](const std::string& name, std::int64_t out_c, std::int64_t stride) {
    x = residual_unit(net, name, x, out_c, stride, leaky, std::exchange(first, false));
  });
  x = net.append<BatchNorm>({x}, "bn",
                            BatchNorm::Options{.channels = net.shape(x)[3], .activation = leaky});
  x = net.append<GlobalAveragePool>({x}, "pool");
  net.dense("fc", x, spec.classes, kernels::Activation::identity());
}

}  // namespace pixeldp::layers
