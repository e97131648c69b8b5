#include "layers/basic_block.hpp"

#include "kernels/elementwise.hpp"
#include "layers/scratch.hpp"

namespace pixeldp::layers {
namespace {

constexpr auto relu = kernels::Activation::relu();

// What Saved holds: the sums of the convolutions, the activated bn1 and the shortcut; then what the
// backward pass calculates.
enum : std::size_t { sums_1, activated, sums_2, around, dsums_2, dsums_1, daround, tensors };
enum : std::size_t { of_conv1, of_bn1, of_conv2, of_bn2, parts };

class PreparedBlock : public kernels::Prepared {
 public:
  PreparedBlock(const Stream& stream, std::unique_ptr<kernels::Prepared> conv1,
                std::unique_ptr<kernels::Prepared> conv2, const Shortcut& shortcut,
                const Shape& input)
      : stream_(stream),
        conv1_(std::move(conv1)),
        conv2_(std::move(conv2)),
        identity_(shortcut.is_identity()),
        shortcut_(shortcut.kernel_shape(input)),
        out_(shortcut.output_shape(input).size()),
        scratch_(stream, identity_ ? out_ : 2 * out_) {}

  void run(const float* x, float* y, const float*) const override {
    float* const a = scratch_.data();
    conv1_->run(x, a);
    if (!identity_) kernels::shortcut_forward(stream_, shortcut_, x, a + out_);
    conv2_->run(a, y, identity_ ? x : a + out_);
  }

 private:
  Stream stream_;
  std::unique_ptr<kernels::Prepared> conv1_, conv2_;
  bool identity_;
  kernels::ShortcutShape shortcut_;
  std::int64_t out_;
  Scratch scratch_;
};

}  // namespace

BasicBlock::BasicBlock(std::string name, const Options& o)
    : name_(std::move(name)),
      conv1_(name_ + ".conv1", {.in_c = o.in_c,
                                .out_c = o.out_c,
                                .stride = o.stride,
                                .activation = {},
                                .precision = o.precision,
                                .centred = true}),
      conv2_(name_ + ".conv2", {.in_c = o.out_c,
                                .out_c = o.out_c,
                                .activation = {},
                                .precision = o.precision,
                                .centred = true}),
      bn1_(name_ + ".bn1", {.channels = o.out_c, .epsilon = epsilon, .activation = relu}),
      bn2_(name_ + ".bn2", {.channels = o.out_c, .epsilon = epsilon, .activation = {}}),
      shortcut_(name_, {.in_c = o.in_c,
                        .out_c = o.out_c,
                        .stride = o.stride,
                        .kind = kernels::ShortcutKind::subsample}) {}

void BasicBlock::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved& saved) {
  saved.hold(tensors, parts);
  auto& kept = saved.tensors;
  conv1_.forward(stream, x, kept[sums_1], saved.parts[of_conv1]);
  bn1_.forward(stream, kept[sums_1], kept[activated], saved.parts[of_bn1]);
  conv2_.forward(stream, kept[activated], kept[sums_2], saved.parts[of_conv2]);
  bn2_.forward(stream, kept[sums_2], y, saved.parts[of_bn2]);
  const Tensor& residual = shortcut_.forward(stream, x, kept[around]);
  kernels::add(stream, relu, y.size(), y.data(), residual.data(), y.data());
}

void BasicBlock::backward(const Stream& stream, const Tensor& x, const Tensor& y, Saved& saved,
                          Tensor& dy, Tensor* dx) {
  auto& kept = saved.tensors;
  kernels::activation_backward(stream, relu, y.size(), y.data(), dy.data());
  // bn2 has no activation, so it takes no note of its y. dy stays, for the shortcut.
  bn2_.backward(stream, kept[sums_2], y, saved.parts[of_bn2], dy, &kept[dsums_2]);
  conv2_.backward(stream, kept[activated], kept[sums_2], saved.parts[of_conv2], kept[dsums_2],
                  &kept[dsums_1]);
  bn1_.backward(stream, kept[sums_1], kept[activated], saved.parts[of_bn1], kept[dsums_1],
                &kept[dsums_1]);
  conv1_.backward(stream, x, kept[sums_1], saved.parts[of_conv1], kept[dsums_1], dx);
  if (dx) shortcut_.add_gradient(stream, dy, *dx, kept[daround]);
}

std::unique_ptr<kernels::Prepared> BasicBlock::prepare(const Stream& stream, const Shape& input,
                                                       kernels::Precision precision) const {
  const auto prepare_one = [&](const Conv2d& conv, const BatchNorm& norm, const Shape& x,
                               bool residual) {
    Tensor scale, shift;
    norm.fold(stream, scale, shift);
    return conv.prepare_with(
        stream, x,
        {.activation = relu, .scale = scale.data(), .shift = shift.data(), .residual = residual},
        precision);
  };
  return std::make_unique<PreparedBlock>(stream, prepare_one(conv1_, bn1_, input, false),
                                         prepare_one(conv2_, bn2_, output_shape(input), true),
                                         shortcut_, input);
}

int BasicBlock::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  const int around = shortcut_.plan(plan, x, input);
  const int a = plan.add(conv1_.planned(x, input, &bn1_));
  const int sum = plan.add(conv2_.planned(a, output_shape(input), &bn2_, around));
  // The block's activation follows the sum, not bn2, which has none.
  plan.steps.back().activation = relu;
  return sum;
}

std::vector<Parameter*> BasicBlock::parameters() {
  std::vector<Parameter*> all;
  for (Layer* layer : std::initializer_list<Layer*>{&conv1_, &bn1_, &conv2_, &bn2_})
    for (Parameter* parameter : layer->parameters()) all.push_back(parameter);
  return all;
}

std::vector<LayerBuffer*> BasicBlock::buffers() {
  std::vector<LayerBuffer*> all = bn1_.buffers();
  for (LayerBuffer* buffer : bn2_.buffers()) all.push_back(buffer);
  return all;
}

}  // namespace pixeldp::layers
