// How fast draws are evaluated after the noise, each line against the alternative it names, timed
// in turns in the same run.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include <CLI/CLI.hpp>
#include <dnnl.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/timing.hpp"
#include "engine/error.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/inference.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/multi_draw.hpp"

using namespace pixeldp;
using bench::median;
using bench::seconds;
using kernels::Precision;

namespace {

/// Times of two things in turns; the first turn warms up. The ratio is the median of ratios.
struct Pair {
  double first = 0.0, second = 0.0, ratio = 0.0;  ///< seconds, seconds, second / first

  Pair(int repetitions, const std::function<double()>& a, const std::function<double()>& b) {
    std::vector<double> as, bs, ratios;
    for (int i = -1; i < repetitions; ++i) {
      const double ta = a(), tb = b();
      if (i < 0) continue;
      as.push_back(ta), bs.push_back(tb), ratios.push_back(tb / ta);
    }
    first = median(as), second = median(bs), ratio = median(ratios);
  }
};

/// Prints lines as they come, or all of them as one JSON object at the end.
class Report {
 public:
  explicit Report(bool json) : json_(json) {
    const CpuFeatures& cpu = cpu_features();
    const auto yes = [](bool value) { return value ? "yes" : "no"; };
    report_ = {{"processor", cpu_model()}, {"threads", thread_count()},
               {"avx512", cpu.avx512},     {"avx512_bf16", cpu.bf16},
               {"avx512_vnni", cpu.vnni},  {"lines", nlohmann::json::array()}};
    if (json_) return;
    fmt::print("{}, {} threads; AVX-512 {}, AVX-512 BF16 {}, AVX-512 VNNI {}\n\n", cpu_model(),
               thread_count(), yes(cpu.avx512), yes(cpu.bf16), yes(cpu.vnni));
    fmt::print("{:<58} {:>12} {:<8} {:>7}  {}\n", "what", "rate", "", "ratio", "to");
  }
  void line(const std::string& what, double rate, const std::string& unit, double ratio,
            const std::string& to) {
    report_["lines"].push_back(
        {{"what", what}, {"rate", rate}, {"unit", unit}, {"ratio", ratio}, {"to", to}});
    if (!json_) fmt::print("{:<58} {:>12.1f} {:<8} {:>7.3f}  {}\n", what, rate, unit, ratio, to);
    std::fflush(stdout);
  }
  void finish() const {
    if (json_) fmt::print("{}\n", report_.dump());
  }

 private:
  bool json_;
  nlohmann::json report_;
};

/// With fresh weights, for these rates do not depend on them.
layers::Network noisy(const layers::NetworkSpec& spec) {
  layers::Network net = layers::make_network(spec, 1);
  net.noise.distribution = kernels::NoiseDistribution::gaussian;
  net.noise.scale = 0.2537;
  return net;
}

/// Scales that fit no data: a rate does not depend on them either.
Quantisation some_scales(const layers::Network& net) {
  Quantisation made;
  for (const kernels::InferenceStep& step : plan_body(net).steps)
    if (step.multiplies()) made.scales[step.name] = 0.03f;
  return made;
}

double run(const MultiDrawPredictor& predictor, const layers::Network& net, std::int64_t images,
           std::uint32_t draws) {
  return seconds([&] {
    predictor.run(
        images, {.seed = 1, .draws = draws},
        [&](std::int64_t i, float* pixels) {
          std::fill_n(pixels, net.input.row_size(), 0.1f);
          return static_cast<std::uint32_t>(i);
        },
        [](std::int64_t, const ScoreStatistics&) { return true; });
  });
}

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

/// A plan's run on one thread, per row.
class Rows {
 public:
  Rows(const layers::Network& net, Precision precision, std::int64_t rows)
      : rows_(rows),
        plan_(plan_body(net)),
        x_(Shape{rows, plan_.sizes.front()}),
        y_(Shape{rows, plan_.sizes.back()}) {
    std::vector<float> scales;
    if (precision == Precision::int8) scales.assign(plan_.steps.size(), 0.03f);
    inference_ = kernels::prepare_inference(plan_, precision, scales);
    workspace_ = Memory({}, static_cast<std::size_t>(inference_->workspace_size()));
    x_.fill(0.1f);
  }
  double operator()() const {
    return seconds([&] {
             inference_->run(rows_, x_.data(), const_cast<float*>(y_.data()), workspace_.data());
           }) /
           static_cast<double>(rows_);
  }

 private:
  std::int64_t rows_;
  kernels::InferencePlan plan_;
  Tensor x_, y_;
  std::unique_ptr<kernels::Inference> inference_;
  Memory workspace_;
};

void wide_resnet(Report& report, const layers::Network& net, const std::string& name,
                 int repetitions, std::int64_t rows) {
  const Rows bf16(net, Precision::bf16, rows), int8(net, Precision::int8, rows),
      fp32(net, Precision::fp32, rows);
  omp_set_num_threads(1);
  const Pair alone(repetitions, std::ref(bf16), [&] { return convolutions_alone(net); });
  const Pair eight(repetitions, std::ref(int8), std::ref(bf16)),
      single(repetitions, std::ref(bf16), std::ref(fp32));
  omp_set_num_threads(omp_get_num_procs());
  report.line(name + ", bf16, 1 thread", 1.0 / alone.first, "draws/s", alone.ratio,
              "oneDNN's bf16 convolutions alone, each at its best batch");
  report.line(name + ", bf16, 1 thread", 1.0 / single.first, "draws/s", single.ratio, "fp32");
  report.line(name + ", int8, 1 thread", 1.0 / eight.first, "draws/s", eight.ratio, "bf16");
}

void plateau(Report& report, const layers::Network& net, const std::string& name, int repetitions) {
  const MultiDrawPredictor predictor(Stream(), net, 0, {Precision::bf16});
  const auto against = [&](std::int64_t images, std::uint32_t draws) {
    const double count = static_cast<double>(images) * draws;
    const Pair pair(
        repetitions, [&] { return run(predictor, net, images, draws) / count; },
        [&] { return run(predictor, net, 4, 256) / 1024.0; });
    report.line(fmt::format("{}, bf16, {} draws of {} image{}", name, draws, images,
                            images == 1 ? "" : "s"),
                1.0 / pair.first, "draws/s", pair.ratio, "256 draws of 4 images");
  };
  for (const std::uint32_t draws : {1, 10, 100, 1000, 10000}) against(1, draws);
  for (const std::int64_t images : {1, 4, 16, 64}) against(images, 16);
}

void shares(Report& report, int repetitions) {
  const layers::Network net = noisy({.rescale_prefix = true});
  const Quantisation scales = some_scales(net);
  const Stream stream;
  const std::int64_t rows = MultiDrawPredictor::default_micro_batch({}),
                     width = net.head->options().in, elements = net.noise_shape(1).row_size();
  Tensor prefix(Shape{1, elements}), made(Shape{rows, elements}), features(Shape{rows, width});
  features.fill(0.01f);
  std::vector<kernels::NoiseRow> noise_rows;
  for (std::int64_t i = 0; i < rows; ++i)
    noise_rows.push_back({0, 0, static_cast<std::uint32_t>(i)});
  const std::vector<std::int64_t> slots(static_cast<std::size_t>(rows), 0);
  std::vector<std::uint64_t> votes(10), sums(10), squares(10);
  const auto rest = [&] {
    constexpr int batches = 20;
    return seconds([&] {
             for (int i = 0; i < batches; ++i) {
               net.noise.forward(stream,
                                 {.seed = 1, .tag = StreamTag::estimation, .rows = noise_rows},
                                 elements, prefix.data(), made.data());
               kernels::draw_statistics(stream, {rows, width, 10}, features.data(),
                                        net.head->weight().value.data(),
                                        net.head->bias().value.data(), slots.data(), votes.data(),
                                        sums.data(), squares.data());
             }
           }) /
           static_cast<double>(batches * rows);
  };
  omp_set_num_threads(1);
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    const MultiDrawPredictor predictor(stream, net, 0, {precision, &scales});
    const Pair pair(
        repetitions, [&] { return run(predictor, net, 4, 500) / 2000.0; }, rest);
    report.line(fmt::format("MNIST CNN, {}, 1 thread", name(precision)), 1.0 / pair.first,
                "draws/s", pair.ratio, "(share of noise and statistics in a draw's time)");
  }
  omp_set_num_threads(omp_get_num_procs());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Rates of what follows the noise, on a processor");
  bool json = false;
  int repetitions = 5;
  std::int64_t rows = 4, depth = 28, widening = 10;
  std::vector<std::string> parts;
  app.add_flag("--json", json, "Print one JSON object");
  app.add_option("--repetitions", repetitions, "Timed turns, of which the median counts")
      ->check(CLI::Range(1, 1000));
  app.add_option("--rows", rows, "Rows per turn of the wide residual network")
      ->check(CLI::Range(1, 100000));
  app.add_option("--depth", depth, "Of the wide residual network");
  app.add_option("--widening", widening, "Of the wide residual network");
  app.add_option("parts", parts, "wide-resnet, plateau, shares (default: all)")
      ->check(CLI::IsMember({"wide-resnet", "plateau", "shares"}));
  CLI11_PARSE(app, argc, argv);
  const auto wanted = [&](const char* part) {
    return parts.empty() || std::ranges::find(parts, part) != parts.end();
  };
  try {
    Report report(json);
    const layers::NetworkSpec spec{.architecture = "wide-resnet",
                                   .height = 32,
                                   .width = 32,
                                   .channels = 3,
                                   .depth = depth,
                                   .widening = widening};
    const std::string name = fmt::format("WRN-{}-{}", depth, widening);
    if (wanted("wide-resnet")) wide_resnet(report, noisy(spec), name, repetitions, rows);
    if (wanted("plateau")) plateau(report, noisy({}), "MNIST CNN", repetitions);
    if (wanted("shares")) shares(report, repetitions);
    report.finish();
  } catch (const Error& error) {
    fmt::print(stderr, "bench_throughput: {}\n", error.what());
    return 1;
  }
}
