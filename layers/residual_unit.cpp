#include "layers/residual_unit.hpp"

#include "kernels/noisy_convolution.hpp"
#include "layers/scratch.hpp"

namespace pixeldp::layers {
namespace {

// What Saved holds: a, conv1(a), the activated bn2 of that, the shortcut; then what the backward
// pass calculates.
enum : std::size_t { activated, sums, activated_sums, around, dsums, dactivated, daround, tensors };
enum : std::size_t { of_bn1, of_conv1, of_bn2, of_conv2, parts };

/// A batch norm with fixed statistics, in the memory of the stream's device.
struct Folded {
  Tensor scale, shift;
  kernels::Activation activation;

  Folded(const Stream& stream, const BatchNorm& norm) : activation(norm.options().activation) {
    norm.fold(stream, scale, shift);
  }
  kernels::Conv2dEpilogue epilogue() const {
    return {.activation = activation, .scale = scale.data(), .shift = shift.data()};
  }
};

/// What becomes of a unit's activated x and sums, prepared: the shortcut and conv2.
class SecondHalf {
 public:
  SecondHalf(const Stream& stream, const Conv2d& conv2, const Shortcut& shortcut,
             const Shape& input, kernels::Precision precision)
      : stream_(stream),
        conv2_(conv2.prepare_with(stream, shortcut.output_shape(input), {.residual = true},
                                  precision)),
        identity_(shortcut.is_identity()),
        shortcut_(shortcut.kernel_shape(input)),
        in_(input.size()),
        out_(shortcut.output_shape(input).size()),
        scratch_(stream, in_ + out_ + (identity_ ? 0 : out_)) {}

  /// Memory for the first half: its activated x, and what conv2 takes.
  float* activated() const { return scratch_.data(); }
  float* sums() const { return scratch_.data() + in_; }

  /// From sums(), and what the shortcut takes.
  void run(const float* around, float* y) const {
    if (!identity_) {
      float* const shortened = sums() + out_;
      kernels::shortcut_forward(stream_, shortcut_, around, shortened);
      around = shortened;
    }
    conv2_->run(sums(), y, around);
  }

 private:
  Stream stream_;
  std::unique_ptr<kernels::Prepared> conv2_;
  bool identity_;
  kernels::ShortcutShape shortcut_;
  std::int64_t in_, out_;  // sizes of the whole x and y
  Scratch scratch_;
};

class PreparedUnit : public kernels::Prepared {
 public:
  PreparedUnit(std::unique_ptr<kernels::Prepared> bn1, std::unique_ptr<kernels::Prepared> conv1,
               SecondHalf second_half, bool activate_shortcut)
      : bn1_(std::move(bn1)),
        conv1_(std::move(conv1)),
        second_half_(std::move(second_half)),
        activate_shortcut_(activate_shortcut) {}

  void run(const float* x, float* y, const float*) const override {
    float* const a = second_half_.activated();
    bn1_->run(x, a);
    conv1_->run(a, second_half_.sums());
    second_half_.run(activate_shortcut_ ? a : x, y);
  }

 private:
  std::unique_ptr<kernels::Prepared> bn1_, conv1_;
  SecondHalf second_half_;
  bool activate_shortcut_;
};

/// The noise, bn1 and conv1 in one kernel; the shortcut takes a.
class PreparedNoisyUnit : public PreparedNoisy {
 public:
  PreparedNoisyUnit(std::unique_ptr<kernels::NoisyConv2d> first_half, SecondHalf second_half)
      : first_half_(std::move(first_half)), second_half_(std::move(second_half)) {}

  void run(const kernels::NoiseParams& noise, const kernels::NoiseRow* rows, const float* prefix,
           float* y) const override {
    float* const a = second_half_.activated();
    first_half_->run(noise, rows, prefix, second_half_.sums(), a);
    second_half_.run(a, y);
  }

 private:
  std::unique_ptr<kernels::NoisyConv2d> first_half_;
  SecondHalf second_half_;
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
  const Folded bn2(stream, bn2_);
  return std::make_unique<PreparedUnit>(
      bn1_.prepare(stream, input, precision),
      conv1_.prepare_with(stream, input, bn2.epilogue(), precision),
      SecondHalf(stream, conv2_, shortcut_, input, precision), activate_shortcut_);
}

std::unique_ptr<PreparedNoisy> ResidualUnit::prepare_noisy(const Stream& stream, const Shape& input,
                                                           kernels::Precision precision) const {
  const kernels::Conv2dShape conv1 = conv1_.kernel_shape(input);
  // Only the activated x leaves the kernel, and it multiplies in bf16.
  if (!activate_shortcut_ || precision != kernels::Precision::bf16 ||
      !kernels::noisy_conv2d_supported(stream.device(), conv1))
    return nullptr;
  const Folded bn1(stream, bn1_), bn2(stream, bn2_);
  return std::make_unique<PreparedNoisyUnit>(
      kernels::prepare_noisy_conv2d(stream, conv1, conv1_.weight().value.data(),
                                    {bn1.scale.data(), bn1.shift.data(), bn1.activation},
                                    bn2.epilogue()),
      SecondHalf(stream, conv2_, shortcut_, input, precision));
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
