#include "layers/multi_draw.hpp"

#include "layers/conv2d.hpp"

namespace pixeldp::layers {

std::unique_ptr<kernels::MultiDraw> prepare_multi_draw(const Stream& stream,
                                                       const Network& network) {
  if (network.body.size() != 2) return nullptr;
  const auto* conv = dynamic_cast<const Conv2d*>(network.body[0].get());
  const auto* dense = dynamic_cast<const Dense*>(network.body[1].get());
  constexpr auto relu = kernels::Activation::relu();
  if (!conv || !dense || conv->options().activation != relu || dense->options().activation != relu)
    return nullptr;
  const kernels::MultiDrawNetwork shape{.conv = conv->kernel_shape(network.noise_shape(1)),
                                        .hidden = dense->options().out,
                                        .classes = network.classes()};
  if (!kernels::multi_draw_supported(stream.device(), shape)) return nullptr;
  return kernels::prepare_multi_draw(stream, shape,
                                     {.conv = conv->weight().value.data(),
                                      .dense = dense->weight().value.data(),
                                      .dense_bias = dense->bias().value.data(),
                                      .head = network.head->weight().value.data(),
                                      .head_bias = network.head->bias().value.data()});
}

}  // namespace pixeldp::layers
