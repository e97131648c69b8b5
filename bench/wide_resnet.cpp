#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "kernels/cpu/onednn.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Precision;

/// oneDNN's convolution of one shape and nothing else, in bf16, over one batch.
class Convolution {
 public:
  Convolution(const kernels::Conv2dShape& s, std::int64_t batch) : batch_(batch) {
    using namespace dnnl;
    constexpr auto bf16 = memory::data_type::bf16;
    const memory::desc x({batch, s.in_c, s.in_h, s.in_w}, bf16, memory::format_tag::nhwc),
        w({s.out_c, s.in_c, s.kernel_h, s.kernel_w}, bf16, memory::format_tag::any),
        y({batch, s.out_c, s.out_h(), s.out_w()}, bf16, memory::format_tag::nhwc);
    const engine& cpu = kernels::onednn::engine();
    const memory::dims strides{s.stride, s.stride}, before{s.pad_h.before, s.pad_w.before},
        after{s.pad_h.after, s.pad_w.after};
    const auto desc = kernels::onednn::describe<convolution_forward>(
        prop_kind::forward_inference, algorithm::convolution_direct, x, w, y, strides, before,
        after);
    queue_ = stream(cpu);
    primitive_ = convolution_forward(desc);
    const memory from(x, cpu), weight(desc.weights_desc(), cpu), to(y, cpu);
    std::memset(from.get_data_handle(), 0, x.get_size());
    std::memset(weight.get_data_handle(), 0, desc.weights_desc().get_size());
    memory_ = {{DNNL_ARG_SRC, from},
               {DNNL_ARG_WEIGHTS, weight},
               {DNNL_ARG_DST, to},
               {DNNL_ARG_SCRATCHPAD, memory(desc.scratchpad_desc(), cpu)}};
  }

  /// Seconds per row, of at least this many.
  double operator()(std::int64_t rows) {
    const std::int64_t batches = (rows + batch_ - 1) / batch_;
    const auto run = [&] {
      for (std::int64_t i = 0; i < batches; ++i) primitive_.execute(queue_, memory_);
      queue_.wait();
    };
    return seconds(run) / static_cast<double>(batches * batch_);
  }

 private:
  std::int64_t batch_;
  dnnl::stream queue_;
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> memory_;
};

Convolution at_best_batch(const kernels::Conv2dShape& shape) {
  std::vector<Convolution> candidates;
  std::vector<Turns::Thing> things;
  for (const std::int64_t batch : {1, 2, 4, 8}) candidates.emplace_back(shape, batch);
  for (Convolution& candidate : candidates) things.push_back([&] { return candidate(8); });
  const Turns turns(5, things);
  std::size_t best = 0;
  for (std::size_t i = 1; i < turns.size(); ++i)
    if (turns.rate(i).median > turns.rate(best).median) best = i;
  return candidates[best];
}

/// All convolutions of a network's body, each at the batch that is its best.
class ConvolutionsAlone {
 public:
  explicit ConvolutionsAlone(const layers::Network& net) {
    const kernels::NetworkPlan plan = lower(Stream(), net);
    for (const kernels::InferenceStep& step : plan.body.steps)
      if (step.kind == kernels::InferenceStep::Kind::convolution)
        convolutions_.push_back(at_best_batch(step.convolution));
  }

  /// Seconds per row, of at least this many.
  double operator()(std::int64_t rows) {
    double total = 0.0;
    for (Convolution& convolution : convolutions_) total += convolution(rows);
    return total;
  }

 private:
  std::vector<Convolution> convolutions_;
};

}  // namespace

void wide_resnet(const Options& options, Report& report) {
  const layers::Network net = noisy_network(wide_resnet_spec(options));
  const std::vector<Precision> there = precisions();
  const Threads one(1);
  std::vector<std::unique_ptr<Rows>> rows;
  std::vector<Turns::Thing> things;
  for (const Precision precision : there) {
    rows.push_back(std::make_unique<Rows>(net, precision, options.rows));
    things.push_back([&row = *rows.back()] { return row(); });
  }
  const std::size_t direct = things.size();
  for (const Precision precision : there) {
    rows.push_back(
        std::make_unique<Rows>(net, precision, options.rows, kernels::Algorithm::direct));
    things.push_back([&row = *rows.back()] { return row(); });
  }
  const auto at = [&](Precision precision) {
    return static_cast<std::size_t>(std::ranges::find(there, precision) - there.begin());
  };
  const std::size_t fp32 = at(Precision::fp32), bf16 = at(Precision::bf16),
                    int8 = at(Precision::int8), alone = things.size();
  const bool has_bf16 = bf16 < there.size();
  std::optional<ConvolutionsAlone> convolutions;
  if (has_bf16) {
    convolutions.emplace(net);
    things.push_back([&] { return (*convolutions)(options.rows); });
  }
  const Turns turns(options.repetitions, things);
  const auto line = [&](std::size_t thing, std::size_t other, const char* to,
                        std::vector<Target> targets = {}) {
    report.line({fmt::format("{}, {}, {} rows, 1 thread", wide_resnet_name(options),
                             name(there[thing]), options.rows),
                 turns.rate(thing), "draws/s", turns.speedup(thing, other), to, targets});
  };
  for (std::size_t i = 0; i < there.size(); ++i) line(i, direct + i, "multiplied directly");
  line(int8, fp32, "fp32");
  if (!has_bf16) {
    report.note(kernels::inference_obstacle(Precision::bf16));
    return;
  }
  line(bf16, fp32, "fp32");
  line(bf16, alone, "oneDNN's bf16 convolutions alone, each at its best batch",
       {Target::ratio_at_least(0.9)});
  line(int8, bf16, "bf16", {Target::ratio_at_least(1.7)});
}

}  // namespace pixeldp::bench
