#include "layers/networks/wide_resnet.hpp"

#include "engine/error.hpp"
#include "layers/global_pool.hpp"
#include "layers/initialise.hpp"
#include "layers/networks/residual_groups.hpp"
#include "layers/residual_unit.hpp"

namespace pixeldp::layers {

namespace {

ResidualGroups groups_of(const NetworkSpec& spec) { return {spec, 4, spec.widening}; }

}  // namespace

void check_wide_resnet(const NetworkSpec& spec) {
  groups_of(spec);
  if (spec.slope && !(*spec.slope >= 0.0 && *spec.slope <= 1.0))
    fail_usage("wide-resnet takes activations of a slope from 0 to 1, not {}", *spec.slope);
}

Network make_wide_resnet(const NetworkSpec& spec, std::uint64_t seed) {
  constexpr double usual_slope = 0.1;
  const auto leaky =
      kernels::Activation::leaky_relu(static_cast<float>(spec.slope.value_or(usual_slope)));
  constexpr auto none = kernels::Activation::identity();
  const ResidualGroups groups = groups_of(spec);
  const bool before_noise = spec.noise_after_layers == 1;
  const bool activation_moves = before_noise && spec.noise_before_activation;
  Initialiser initialise(seed);

  Network net;
  net.noise.activation = activation_moves ? leaky : none;
  auto conv = std::make_unique<Conv2d>(
      "conv1", Conv2d::Options{
                   .in_c = spec.channels,
                   .out_c = ResidualGroups::first_channels,
                   .activation = activation_moves ? none : leaky,
                   .precision = before_noise ? kernels::Precision::fp32 : spec.training_precision});
  initialise.convolution(*conv, before_noise && spec.rescale_prefix);
  (before_noise ? net.prefix : net.body).push_back(std::move(conv));

  bool first = true;
  groups.for_each(
      [&](const std::string& name, std::int64_t in_c, std::int64_t out_c, std::int64_t stride) {
        auto unit = std::make_unique<ResidualUnit>(
            name, ResidualUnit::Options{.in_c = in_c,
                                        .out_c = out_c,
                                        .stride = stride,
                                        .activation = leaky,
                                        .activate_shortcut = std::exchange(first, false),
                                        .precision = spec.training_precision});
        initialise.convolution(unit->conv1());
        initialise.convolution(unit->conv2());
        net.body.push_back(std::move(unit));
      });
  const std::int64_t features = groups.last_channels();
  net.body.push_back(std::make_unique<BatchNorm>(
      "bn", BatchNorm::Options{.channels = features, .activation = leaky}));
  net.body.push_back(std::make_unique<GlobalAveragePool>("pool"));
  net.head = std::make_unique<Dense>("fc", Dense::Options{.in = features,
                                                          .out = spec.classes,
                                                          .activation = none,
                                                          .precision = spec.training_precision});
  initialise.dense(*net.head);
  return net;
}

}  // namespace pixeldp::layers
