#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <omp.h>

#include "bench/network.hpp"
#include "bench/timing.hpp"
#include "kernels/draw_statistics.hpp"

namespace pixeldp::bench {
namespace {

using kernels::Precision;

/// A plan in fp32 whose rows are shared out to all threads.
class AllThreads {
 public:
  explicit AllThreads(const kernels::InferencePlan& plan)
      : inference_(kernels::prepare_inference(plan, Precision::fp32)) {
    for (int i = 0; i < omp_get_max_threads(); ++i)
      workspaces_.emplace_back(Device(), static_cast<std::size_t>(inference_->workspace_size()));
  }

  void run(const Tensor& x, Tensor& y) const {
    const auto team = std::ssize(workspaces_);
#pragma omp parallel for
    for (std::int64_t i = 0; i < team; ++i) {
      const std::int64_t first = x.rows() * i / team, last = x.rows() * (i + 1) / team;
      inference_->run(last - first, x.row(first), y.row(first),
                      workspaces_[static_cast<std::size_t>(i)].data());
    }
  }

 private:
  std::unique_ptr<kernels::Inference> inference_;
  std::vector<Memory> workspaces_;  // of each thread
};

/// Draws as a framework without any notion of them makes them: the image is tiled to a batch of
/// rows, a tensor of noise is made, the whole network runs from the first layer on, step by step,
/// and the logits come back to be counted. Its convolutions and products are the same prepared
/// ones, on all threads.
class NaiveDraws {
 public:
  enum class Generator { standard_library, ours };

  NaiveDraws(const layers::Network& net, std::int64_t rows, Generator generator)
      : rows_(rows),
        scale_(static_cast<float>(net.noise->scale)),
        generator_(generator),
        images_(net.input().with_rows(rows)),
        noisy_(net.noise_shape(rows)),
        noise_(noisy_.shape()),
        zeros_(noisy_.shape().with_rows(1)),
        logits_(Shape{rows, net.classes()}) {
    kernels::NetworkPlan network = lower(stream_, net);
    first_ = std::make_unique<AllThreads>(network.prefix);
    network.body.add({.kind = kernels::InferenceStep::Kind::dense,
                      .name = "head",
                      .inputs = {static_cast<int>(network.body.steps.size())},
                      .outputs = network.classes,
                      .weight = network.head_weight,
                      .shift = network.head_bias});
    rest_ = std::make_unique<AllThreads>(network.body);
  }

  /// Seconds per draw, of at least this many.
  double operator()(std::int64_t draws) {
    const std::int64_t batches = (draws + rows_ - 1) / rows_;
    return seconds([&] { votes(batches * rows_); }) / static_cast<double>(batches * rows_);
  }

 private:
  /// Of each label.
  std::vector<std::int64_t> votes(std::int64_t draws) {
    std::vector<std::int64_t> votes(static_cast<std::size_t>(logits_.shape()[1]));
    for (std::int64_t done = 0; done < draws; done += rows_) {
      images_.fill(0.1f);
      first_->run(images_, noisy_);
      make_noise(done);
      for (std::int64_t i = 0; i < noisy_.size(); ++i) noisy_.data()[i] += noise_.data()[i];
      for (std::int64_t i = 0; i < noisy_.size(); ++i)
        noisy_.data()[i] = std::max(noisy_.data()[i], 0.0f);
      rest_->run(noisy_, logits_);
      for (std::int64_t r = 0; r < rows_; ++r) {
        ++votes[static_cast<std::size_t>(std::max_element(logits_.row(r), logits_.row(r + 1)) -
                                         logits_.row(r))];
      }
    }
    return votes;
  }

  void make_noise(std::int64_t first_draw) {
    if (generator_ == Generator::standard_library) {
      std::normal_distribution<float> normal(0.0f, scale_);
      for (float& value : noise_.values()) value = normal(engine_);
      return;
    }
    std::vector<kernels::NoiseRow> rows;
    for (std::int64_t r = 0; r < rows_; ++r)
      rows.push_back({0, 0, static_cast<std::uint32_t>(first_draw + r)});
    kernels::add_noise(stream_,
                       {.distribution = kernels::NoiseDistribution::gaussian,
                        .scale = scale_,
                        .seed = 1,
                        .activation = kernels::Activation::identity()},
                       rows.data(), rows_, noise_.shape().row_size(), zeros_.data(), noise_.data());
  }

  Stream stream_;
  std::int64_t rows_;
  float scale_;
  Generator generator_;
  std::mt19937 engine_{1};
  std::unique_ptr<AllThreads> first_, rest_;
  Tensor images_, noisy_, noise_, zeros_, logits_;
};

/// Noise and draw statistics of a micro-batch, the parts of a draw that are neither convolutions
/// nor products, on one thread.
class NoiseAndStatistics {
 public:
  explicit NoiseAndStatistics(const layers::Network& net)
      : net_(net),
        width_(net.head->options().in),
        elements_(net.noise_shape(1).row_size()),
        noise_(lower(stream_, net).noise(1, StreamTag::estimation)),
        prefix_(Shape{1, elements_}),
        noisy_(Shape{rows_, elements_}),
        features_(Shape{rows_, width_}),
        slots_(static_cast<std::size_t>(rows_), 0),
        totals_(static_cast<std::size_t>(3 * net.classes())) {
    features_.fill(0.01f);
    for (std::int64_t i = 0; i < rows_; ++i)
      noise_rows_.push_back({0, 0, static_cast<std::uint32_t>(i)});
  }

  /// Seconds per draw.
  double operator()() {
    constexpr int batches = 20;
    const auto run = [&] {
      for (int i = 0; i < batches; ++i) once();
    };
    return seconds(run) / static_cast<double>(batches * rows_);
  }

 private:
  void once() {
    const std::int64_t classes = net_.classes();
    std::uint64_t* votes = totals_.data();
    kernels::add_noise(stream_, noise_, noise_rows_.data(), rows_, elements_, prefix_.data(),
                       noisy_.data());
    kernels::draw_statistics(stream_, {rows_, width_, classes}, features_.data(),
                             net_.head->weight().value.data(), net_.head->bias().value.data(),
                             slots_.data(), votes, votes + classes, votes + 2 * classes);
  }

  Stream stream_;
  const layers::Network& net_;
  std::int64_t rows_ = Sampler::default_micro_batch({}), width_, elements_;
  kernels::NoiseParams noise_;
  Tensor prefix_, noisy_, features_;
  std::vector<kernels::NoiseRow> noise_rows_;
  std::vector<std::int64_t> slots_;
  std::vector<std::uint64_t> totals_;
};

void against_naive(const Options& options, const layers::Network& net,
                   const std::vector<std::unique_ptr<Draws>>& ours, Report& report) {
  constexpr std::int64_t naive_rows = 256;
  NaiveDraws naive(net, naive_rows, NaiveDraws::Generator::standard_library);
  NaiveDraws unfused(net, naive_rows, NaiveDraws::Generator::ours);
  // These are so much slower that a share of the draws tells their rate.
  const std::int64_t share = options.images * options.draws / 4;
  std::vector<Turns::Thing> things = {[&] { return naive(share); }, [&] { return unfused(share); }};
  for (const auto& draws : ours)
    things.push_back([&] { return (*draws)(options.images, options.draws); });
  const Turns turns(options.repetitions, things);
  for (std::size_t i = 2; i < turns.size(); ++i) {
    const std::string what = fmt::format("MNIST CNN, {}, {} draws of {} images",
                                         name(precisions()[i - 2]), options.draws, options.images);
    report.line({what,
                 turns.rate(i),
                 "draws/s",
                 turns.speedup(i, 0),
                 "naive: std::normal_distribution, whole network per draw, fp32",
                 {Target::ratio_at_least(3.0)}});
    report.line({what, turns.rate(i), "draws/s", turns.speedup(i, 1),
                 "unfused: a tensor of our noise, whole network per draw, fp32"});
  }
}

void shares(const Options& options, const layers::Network& net,
            const std::vector<std::unique_ptr<Draws>>& ours, Report& report) {
  const Threads one(1);
  NoiseAndStatistics parts(net);
  std::vector<Turns::Thing> things = {[&] { return parts(); }};
  for (const auto& draws : ours)
    things.push_back([&] { return (*draws)(options.images, options.draws); });
  const Turns turns(options.repetitions, things);
  for (std::size_t i = 1; i < turns.size(); ++i) {
    report.line({fmt::format("MNIST CNN, {}, 1 thread", name(precisions()[i - 1])),
                 turns.rate(i),
                 "draws/s",
                 turns.ratio(0, i),
                 "time of a draw: share of noise and statistics",
                 {Target::ratio_at_most(0.25)}});
  }
}

void algorithms(const Options& options, const layers::Network& net, Report& report) {
  using kernels::Algorithm;
  const Threads one(1);
  for (const Precision precision : {Precision::fp32, Precision::int8}) {
    Draws winograd(net, precision, Algorithm::winograd), direct(net, precision, Algorithm::direct);
    const auto draw = [&](Draws& draws) { return draws(options.images, options.draws); };
    const Turns turns(options.repetitions,
                      {[&] { return draw(winograd); }, [&] { return draw(direct); }});
    report.line({fmt::format("MNIST CNN, {}, 1 thread", name(precision)), turns.rate(0), "draws/s",
                 turns.speedup(0, 1), "multiplied directly"});
  }
}

}  // namespace

void draws(const Options& options, Report& report) {
  const layers::Network net = noisy_network(mnist_cnn_spec());
  std::vector<std::unique_ptr<Draws>> ours;
  for (const Precision precision : precisions())
    ours.push_back(std::make_unique<Draws>(net, precision));
  against_naive(options, net, ours, report);
  shares(options, net, ours, report);
  algorithms(options, net, report);
}

}  // namespace pixeldp::bench
