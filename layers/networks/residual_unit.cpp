#include "layers/networks/residual_unit.hpp"

#include "layers/add.hpp"
#include "layers/shortcut.hpp"

namespace pixeldp::layers {
namespace {

constexpr auto none = kernels::Activation::identity(), relu = kernels::Activation::relu();

Value shortcut(NetworkBuilder& net, const std::string& name, Value x, std::int64_t out_c,
               std::int64_t stride, kernels::ShortcutKind kind) {
  const Shortcut::Options options{
      .in_c = net.shape(x)[3], .out_c = out_c, .stride = stride, .kind = kind};
  return options.is_identity() ? x : net.append<Shortcut>({x}, name + ".shortcut", options);
}

}  // namespace

Value residual_unit(NetworkBuilder& net, const std::string& name, Value x, std::int64_t out_c,
                    std::int64_t stride, kernels::Activation activation, bool activate_shortcut) {
  const Value a = net.append<BatchNorm>(
      {x}, name + ".bn1",
      BatchNorm::Options{.channels = net.shape(x)[3], .activation = activation});
  const Value around =
      shortcut(net, name, activate_shortcut ? a : x, out_c, stride, kernels::ShortcutKind::average);
  Value y =
      net.convolution(name + ".conv1", a, {.out_c = out_c, .stride = stride, .activation = none});
  y = net.append<BatchNorm>({y}, name + ".bn2",
                            BatchNorm::Options{.channels = out_c, .activation = activation});
  y = net.convolution(name + ".conv2", y, {.out_c = out_c, .activation = none});
  return net.append<Add>({y, around}, name + ".add", none);
}

BatchNorm::Options pytorch_norm(std::int64_t channels, kernels::Activation activation) {
  return {.channels = channels, .epsilon = 1e-5f, .activation = activation};
}

Value basic_block(NetworkBuilder& net, const std::string& name, Value x, std::int64_t out_c,
                  std::int64_t stride) {
  const Value around = shortcut(net, name, x, out_c, stride, kernels::ShortcutKind::subsample);
  Value y = net.convolution(
      name + ".conv1", x, {.out_c = out_c, .stride = stride, .activation = none, .centred = true});
  y = net.append<BatchNorm>({y}, name + ".bn1", pytorch_norm(out_c, relu));
  y = net.convolution(name + ".conv2", y, {.out_c = out_c, .activation = none, .centred = true});
  y = net.append<BatchNorm>({y}, name + ".bn2", pytorch_norm(out_c, none));
  return net.append<Add>({y, around}, name + ".add", relu);
}

}  // namespace pixeldp::layers
