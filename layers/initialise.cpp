#include "layers/initialise.hpp"

#include <cmath>

#include "engine/philox.hpp"
#include "kernels/noise.hpp"

namespace pixeldp::layers {

void fill_normal(Tensor& tensor, double deviation, std::uint64_t seed, std::uint32_t parameter) {
  tensor.fill(0.0f);
  const Tensor zeros = tensor.clone();
  const kernels::NoiseRow row{.source = 0, .image = parameter, .draw = 0};
  const kernels::NoiseParams params{.distribution = kernels::NoiseDistribution::gaussian,
                                    .scale = static_cast<float>(deviation),
                                    .seed = seed,
                                    .tag = StreamTag::initialisation,
                                    .activation = kernels::Activation::identity()};
  kernels::add_noise(Stream(), params, &row, 1, tensor.size(), zeros.data(), tensor.data());
}

void fill_uniform(Tensor& tensor, double limit, std::uint64_t seed, std::uint32_t parameter) {
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const auto words = Philox::at(seed, StreamTag::initialisation, parameter, 0,
                                  static_cast<std::uint32_t>(i / 4));
    const double u = (words[static_cast<std::size_t>(i % 4)] + 0.5) * 0x1p-32;
    tensor.data()[i] = static_cast<float>((2.0 * u - 1.0) * limit);
  }
}

void Initialiser::convolution(Conv2d& conv, bool rescaled) {
  const Conv2d::Options& o = conv.options();
  double deviation = std::sqrt(2.0 / static_cast<double>(o.kernel * o.kernel * o.out_c));
  if (rescaled) {
    const double scale = std::ceil(static_cast<double>(o.kernel) / static_cast<double>(o.stride));
    deviation /= scale;
    conv.weight().gradient_scale = static_cast<float>(1.0 / (scale * scale));
  }
  fill_normal(conv.weight().value, deviation, seed_, parameter_++);
}

void Initialiser::convolution(Convolution& conv, const kernels::GroupedConv2dShape& shape) {
  const double deviation = std::sqrt(2.0 / static_cast<double>(shape.taps() * shape.out_c));
  for (Parameter* weight : static_cast<Layer&>(conv).parameters())
    fill_normal(weight->value, deviation, seed_, parameter_++);
}

void Initialiser::dense(Dense& dense) {
  fill_uniform(dense.weight().value, std::sqrt(3.0 / static_cast<double>(dense.options().in)),
               seed_, parameter_++);
}

}  // namespace pixeldp::layers
