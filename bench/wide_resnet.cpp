#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include <dnnl.hpp>
#include <fmt/format.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Precision;

/// oneDNN's convolution of one shape and nothing else, in bf16, on one thread: seconds per row at
/// the batch that is its best.
double best_convolution(const kernels::Conv2dShape& s) {
  using namespace dnnl;
  const engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  double best = INFINITY;
  for (const std::int64_t batch : {1, 2, 4, 8}) {
    constexpr auto bf16 = memory::data_type::bf16;
    const memory::desc x({batch, s.in_c, s.in_h, s.in_w}, bf16, memory::format_tag::nhwc),
        w({s.out_c, s.in_c, s.kernel_h, s.kernel_w}, bf16, memory::format_tag::any),
        y({batch, s.out_c, s.out_h(), s.out_w()}, bf16, memory::format_tag::nhwc);
    const convolution_forward::primitive_desc desc({prop_kind::forward_inference,
                                                    algorithm::convolution_direct,
                                                    x,
                                                    w,
                                                    y,
                                                    {s.stride, s.stride},
                                                    {s.pad_h.before, s.pad_w.before},
                                                    {s.pad_h.after, s.pad_w.after}},
                                                   cpu);
    const convolution_forward op(desc);
    memory from(x, cpu), weight(desc.weights_desc(), cpu), to(y, cpu);
    std::memset(from.get_data_handle(), 0, x.get_size());
    std::memset(weight.get_data_handle(), 0, desc.weights_desc().get_size());
    std::vector<double> times;
    for (int i = 0; i < 6; ++i) {
      times.push_back(seconds([&] {
        op.execute(queue, {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DST, to}});
        queue.wait();
      }));
    }
    times.erase(times.begin());
    best = std::min(best, median(times) / static_cast<double>(batch));
  }
  return best;
}

double convolutions_alone(const layers::Network& net) {
  double total = 0.0;
  for (const kernels::InferenceStep& step : plan_body(net).steps)
    if (step.kind == kernels::InferenceStep::Kind::convolution)
      total += best_convolution(step.convolution);
  return total;
}

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
  const auto at = [&](Precision precision) {
    return static_cast<std::size_t>(std::ranges::find(there, precision) - there.begin());
  };
  const std::size_t fp32 = at(Precision::fp32), bf16 = at(Precision::bf16),
                    int8 = at(Precision::int8), alone = things.size();
  const bool has_bf16 = bf16 < there.size();
  if (has_bf16) things.push_back([&] { return convolutions_alone(net); });
  const Turns turns(options.repetitions, things);
  const auto line = [&](std::size_t thing, std::size_t other, const char* to,
                        std::vector<Target> targets = {}) {
    report.line({fmt::format("{}, {}, {} rows, 1 thread", wide_resnet_name(options),
                             name(there[thing]), options.rows),
                 turns.rate(thing), "draws/s", turns.speedup(thing, other), to, targets});
  };
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
