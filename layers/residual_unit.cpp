#include "layers/residual_unit.hpp"

#include "layers/scratch.hpp"

namespace pixeldp::layers {
namespace {

// What Saved holds: a, conv1(a), the activated bn2 of that, the shortcut; then what the backward
// pass calculates.
enum : std::size_t { activated, sums, activated_sums, around, dsums, dactivated, daround, tensors };
enum : std::size_t { of_bn1, of_conv1, of_bn2, of_conv2, parts };

class PreparedUnit : public kernels::Prepared {
 public:
  struct Layers {
    std::unique_ptr<kernels::Prepared> bn1, conv1, conv2;
  };

  /// in, out: sizes of the whole x and y.
  PreparedUnit(const Stream& stream, Layers layers, const Shortcut& shortcut, const Shape& input,
               bool activate_shortcut)
      : stream_(stream),
        layers_(std::move(layers)),
        identity_(shortcut.is_identity()),
        activate_shortcut_(activate_shortcut),
        shortcut_(shortcut.kernel_shape(input)),
        in_(input.size()),
        out_(shortcut.output_shape(input).size()),
        scratch_(stream, in_ + out_ + (identity_ ? 0 : out_)) {}

  void run(const float* x, float* y, const float*) const override {
    float* const a = scratch_.data();
    float* const b = a + in_;
    layers_.bn1->run(x, a);
    layers_.conv1->run(a, b);
    const float* residual = activate_shortcut_ ? a : x;
    if (!identity_) {
      float* const shortened = b + out_;
      kernels::shortcut_forward(stream_, shortcut_, residual, shortened);
      residual = shortened;
    }
    layers_.conv2->run(b, y, residual);
  }

 private:
  Stream stream_;
  Layers layers_;
  bool identity_, activate_shortcut_;
  kernels::ShortcutShape shortcut_;
  std::int64_t in_, out_;
  Scratch scratch_;
};

}  // namespace

ResidualUnit::ResidualUnit(std::string name, const Options& o)
    : name_(std::move(name)),
      activate_shortcut_(o.activate_shortcut),
      bn1_(name_ + ".bn1", {.channels = o.in_c, .activation = o.activation}),
      bn2_(name_ + ".bn2", {.channels = o.out_c, .activation = o.activation}),
      conv1_(name_ + ".conv1", {.in_c = o.in_c,
                                .out_c = o.out_c,
                                .stride = o.stride,
                                .activation = {},
                                .precision = o.precision}),
      conv2_(name_ + ".conv2",
             {.in_c = o.out_c, .out_c = o.out_c, .activation = {}, .precision = o.precision}),
      shortcut_(name_, {.in_c = o.in_c, .out_c = o.out_c, .stride = o.stride}) {}

void ResidualUnit::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) {
  saved.hold(tensors, parts);
  auto& kept = saved.tensors;
  bn1_.forward(stream, x, kept[activated], saved.parts[of_bn1]);
  conv1_.forward(stream, kept[activated], kept[sums], saved.parts[of_conv1]);
  bn2_.forward(stream, kept[sums], kept[activated_sums], saved.parts[of_bn2]);
  conv2_.forward(stream, kept[activated_sums], y, saved.parts[of_conv2]);
  const Tensor& residual =
      shortcut_.forward(stream, activate_shortcut_ ? kept[activated] : x, kept[around]);
  kernels::add(stream, kernels::Activation::identity(), y.size(), y.data(), residual.data(),
               y.data());
}

void ResidualUnit::backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved,
                            Tensor& dy, Tensor* dx) {
  auto& kept = saved.tensors;
  // dy stays as it is, for the shortcut: a convolution without activation only reads it.
  conv2_.backward(stream, kept[activated_sums], y, saved.parts[of_conv2], dy, &kept[dsums]);
  bn2_.backward(stream, kept[sums], kept[activated_sums], saved.parts[of_bn2], kept[dsums],
                &kept[dsums]);
  conv1_.backward(stream, kept[activated], kept[sums], saved.parts[of_conv1], kept[dsums],
                  &kept[dactivated]);
  if (activate_shortcut_) shortcut_.add_gradient(stream, dy, kept[dactivated], kept[daround]);
  bn1_.backward(stream, x, kept[activated], saved.parts[of_bn1], kept[dactivated], dx);
  if (dx && !activate_shortcut_) shortcut_.add_gradient(stream, dy, *dx, kept[daround]);
}

std::unique_ptr<kernels::Prepared> ResidualUnit::prepare(const Stream& stream, const Shape& input,
                                                         kernels::Precision precision) const {
  Tensor scale, shift;
  bn2_.fold(stream, scale, shift);
  PreparedUnit::Layers layers = {
      .bn1 = bn1_.prepare(stream, input, precision),
      .conv1 = conv1_.prepare_with(
          stream, input,
          {.activation = bn2_.options().activation, .scale = scale.data(), .shift = shift.data()},
          precision),
      .conv2 = conv2_.prepare_with(stream, output_shape(input), {.residual = true}, precision)};
  return std::make_unique<PreparedUnit>(stream, std::move(layers), shortcut_, input,
                                        activate_shortcut_);
}

int ResidualUnit::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  const int a = bn1_.plan(plan, x, input);
  const int around = shortcut_.plan(plan, activate_shortcut_ ? a : x, input);
  const int b = plan.add(conv1_.planned(a, input, &bn2_));
  return plan.add(conv2_.planned(b, output_shape(input), nullptr, around));
}

std::vector<Parameter*> ResidualUnit::parameters() {
  std::vector<Parameter*> all;
  for (Layer* layer : std::initializer_list<Layer*>{&bn1_, &conv1_, &bn2_, &conv2_})
    for (Parameter* parameter : layer->parameters()) all.push_back(parameter);
  return all;
}

std::vector<LayerBuffer*> ResidualUnit::buffers() {
  std::vector<LayerBuffer*> all = bn1_.buffers();
  for (LayerBuffer* buffer : bn2_.buffers()) all.push_back(buffer);
  return all;
}

}  // namespace pixeldp::layers
