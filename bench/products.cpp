#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/dense.hpp"

namespace pixeldp::bench {
namespace {

using namespace kernels;
using cpu::InstructionSet;

/// Products of bytes of one layer, for some rows on one thread, to bytes and reals, with a
/// residual.
class LayerProduct {
 public:
  LayerProduct(std::unique_ptr<cpu::PreparedProduct> product, const Conv2dShape& row,
               std::int64_t rows)
      : product_(std::move(product)),
        rows_(rows),
        x_({}, rows * row.in_h * row.in_w * row.in_c),
        bytes_({}, rows * row.out_h() * row.out_w() * row.out_c),
        y_({}, bytes_.size()),
        residual_({}, bytes_.size()),
        scratch_({}, static_cast<std::size_t>(product_->scratch_size(rows))) {}

  /// Seconds per row.
  double operator()(int repetitions) {
    const auto run = [&] {
      for (int i = 0; i < repetitions; ++i)
        product_->run(rows_, x_.data(),
                      {.activation = Activation::relu(),
                       .target = {.real = y_.data(), .bytes = bytes_.data(), .inverse_scale = 1.0f},
                       .residual = residual_.data()},
                      scratch_.data());
    };
    return seconds(run) / static_cast<double>(repetitions * rows_);
  }

 private:
  std::unique_ptr<cpu::PreparedProduct> product_;
  std::int64_t rows_;
  Buffer<std::uint8_t> x_, bytes_;  // aligned, as values of a plan are
  Buffer<float> y_, residual_;
  Memory scratch_;
};

/// The layers of a network that multiply, each shape once.
std::vector<Conv2dShape> shapes_of(const layers::NetworkSpec& spec) {
  std::vector<Conv2dShape> shapes;
  const NetworkPlan plan = lower(Stream(), noisy_network(spec));
  for (const InferenceStep& step : plan.body.steps) {
    if (!step.multiplies()) continue;
    const Conv2dShape shape =
        step.kind == InferenceStep::Kind::convolution
            ? step.convolution
            : as_convolution({1, std::ssize(step.weight) / step.outputs, step.outputs});
    if (std::ranges::find(shapes, shape) == shapes.end()) shapes.push_back(shape);
  }
  return shapes;
}

void layer(const Options& options, const Conv2dShape& row, Report& report) {
  const std::vector<std::int8_t> weight(static_cast<std::size_t>(row.weight_size()), 1);
  const std::vector<float> scale(static_cast<std::size_t>(row.out_c), 1.0f);
  std::vector<std::string> names;
  std::vector<LayerProduct> products;
  const std::int64_t rows =
      std::clamp<std::int64_t>((1 << 20) / (row.out_h() * row.out_w() * row.out_c), 1, 64);
  const auto add = [&](const std::string& name, std::unique_ptr<cpu::PreparedProduct> product) {
    names.push_back(name);
    products.emplace_back(std::move(product), row, rows);
  };
  std::vector<InstructionSet> sets = {cpu::best_instruction_set()};
  if (sets.front() == InstructionSet::avx_vnni) sets.insert(sets.begin(), InstructionSet::avx2);
  if (sets.front() == InstructionSet::amx) sets.insert(sets.begin(), InstructionSet::avx512);
  for (const InstructionSet set : sets)
    add(std::string(cpu::name(set)),
        std::make_unique<cpu::Product>(row, weight, scale, std::span<const float>(), set));
  if (takes_winograd(row) && cpu::Winograd::exact(weight, row.out_c))
    add("Winograd's algorithm",
        std::make_unique<cpu::Winograd>(row, weight, scale, std::span<const float>()));
  const double multiply_adds = static_cast<double>(row.multiply_adds());
  std::vector<Turns::Thing> things;
  for (LayerProduct& product : products) {
    const double once = std::min(product(1), product(1)) * static_cast<double>(rows);
    const int repetitions = std::clamp(static_cast<int>(0.005 / once), 1, 1000);
    things.push_back([&product, repetitions] { return product(repetitions); });
  }
  const Turns turns(options.repetitions, things);
  for (std::size_t i = 1; i < names.size(); ++i)
    report.line({fmt::format("{}, {}", describe(row), names[i]),
                 turns.rate(i) * (multiply_adds * 1e-9), "G/s", turns.speedup(i, 0), names[0]});
}

}  // namespace

void products(const Options& options, Report& report) {
  std::vector<Conv2dShape> shapes;
  for (const layers::NetworkSpec& spec :
       {mnist_cnn_spec(), resnet_spec(20), wide_resnet_spec(16, 4), wide_resnet_spec(28, 10)})
    for (const Conv2dShape& shape : shapes_of(spec)) layer(options, shape, report);
}

}  // namespace pixeldp::bench
