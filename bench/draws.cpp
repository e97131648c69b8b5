// Draw throughput of the MNIST CNN: the multi-draw predictor against the same network run naively,
// in turns in the same run, and the share of a draw's time that noise and statistics take.
#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/timing.hpp"
#include "engine/device.hpp"
#include "kernels/draw_statistics.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/multi_draw.hpp"

using namespace pixeldp;
using bench::median;
using bench::seconds;

namespace {

layers::Network noisy_network() {
  layers::Network net = layers::make_network({.rescale_prefix = true}, 1);
  net.noise.distribution = kernels::NoiseDistribution::gaussian;
  net.noise.scale = 0.2537;
  return net;
}

/// Draws as a framework without any notion of them makes them: the image is tiled to a batch of
/// rows, a tensor of noise is made, the whole network runs from the first layer on, step by step,
/// and the logits come back to be counted. Its convolutions and products are the same prepared
/// ones, on all threads.
class NaiveDraws {
 public:
  enum class Generator { standard_library, ours };

  NaiveDraws(const layers::Network& net, std::int64_t rows, Generator generator)
      : rows_(rows),
        scale_(static_cast<float>(net.noise.scale)),
        generator_(generator),
        images_(net.input.with_rows(rows)) {
    first_ = net.prefix[0]->prepare(stream_, images_.shape(), kernels::Precision::bf16);
    Shape shape = net.noise_shape(rows);
    noisy_ = Tensor(shape);
    noise_ = Tensor(shape);
    zeros_ = Tensor(shape.with_rows(1));
    for (const auto& layer : net.body) {
      body_.push_back(layer->prepare(stream_, shape, kernels::Precision::bf16));
      shape = layer->output_shape(shape);
      outputs_.emplace_back(shape);
    }
    head_ = net.head->prepare(stream_, shape, kernels::Precision::bf16);
    logits_ = Tensor(net.head->output_shape(shape));
  }

  /// The most votes that any label gets from at least this many rows.
  std::int64_t most_votes(std::int64_t draws) {
    std::vector<std::int64_t> votes(static_cast<std::size_t>(logits_.shape()[1]));
    for (std::int64_t done = 0; done < draws; done += rows_) {
      images_.fill(0.1f);
      first_->run(images_.data(), noisy_.data());
      make_noise(done);
      for (std::int64_t i = 0; i < noisy_.size(); ++i) noisy_.data()[i] += noise_.data()[i];
      for (std::int64_t i = 0; i < noisy_.size(); ++i)
        noisy_.data()[i] = std::max(noisy_.data()[i], 0.0f);
      const float* x = noisy_.data();
      for (std::size_t i = 0; i < body_.size(); ++i) {
        body_[i]->run(x, outputs_[i].data());
        x = outputs_[i].data();
      }
      head_->run(x, logits_.data());
      for (std::int64_t r = 0; r < rows_; ++r) {
        ++votes[static_cast<std::size_t>(std::max_element(logits_.row(r), logits_.row(r + 1)) -
                                         logits_.row(r))];
      }
    }
    return *std::max_element(votes.begin(), votes.end());
  }

 private:
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
  std::unique_ptr<kernels::Prepared> first_, head_;
  std::vector<std::unique_ptr<kernels::Prepared>> body_;
  Tensor images_, noisy_, noise_, zeros_, logits_;
  std::vector<Tensor> outputs_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Draws per second of the MNIST CNN");
  bool json = false;
  int repetitions = 5;
  std::int64_t images = 8;
  std::uint32_t draws = 500;
  app.add_flag("--json", json, "Print one JSON object");
  app.add_option("--repetitions", repetitions, "Timed repetitions, of which the median counts")
      ->check(CLI::Range(1, 1000));
  app.add_option("--images", images, "Images per repetition")->check(CLI::Range(1, 100000));
  app.add_option("--draws", draws, "Draws per image")->check(CLI::Range(1, 1000000));
  CLI11_PARSE(app, argc, argv);

  const Stream stream;
  const layers::Network net = noisy_network();
  const MultiDrawPredictor predictor(stream, net);
  constexpr std::int64_t naive_rows = 256;
  NaiveDraws naive(net, naive_rows, NaiveDraws::Generator::standard_library);
  NaiveDraws unfused(net, naive_rows, NaiveDraws::Generator::ours);
  const double total = static_cast<double>(images) * draws;

  // The parts that are not convolutions and products, on one micro-batch, on one thread each.
  const std::int64_t rows = MultiDrawPredictor::default_micro_batch({}),
                     width = net.head->options().in;
  const std::int64_t elements = net.noise_shape(1).row_size();
  Tensor prefix(Shape{1, elements}), noisy(Shape{rows, elements}), features(Shape{rows, width});
  features.fill(0.01f);
  std::vector<kernels::NoiseRow> noise_rows;
  for (std::int64_t i = 0; i < rows; ++i)
    noise_rows.push_back({0, 0, static_cast<std::uint32_t>(i)});
  const std::vector<std::int64_t> slots(static_cast<std::size_t>(rows), 0);
  std::vector<std::uint64_t> votes(10), sums(10), squares(10);

  std::vector<double> fast, slow, separate, noise, statistics;
  for (int repetition = -1; repetition < repetitions; ++repetition) {  // the first one warms up
    const double f = seconds([&] {
      predictor.run(
          images, {.seed = 1, .draws = draws},
          [&](std::int64_t i, float* pixels) {
            std::fill_n(pixels, net.input.row_size(), 0.1f);
            return static_cast<std::uint32_t>(i);
          },
          [](std::int64_t, const ScoreStatistics&) { return true; });
    });
    // The naive one is so much slower that a share of the draws tells its rate.
    const std::int64_t naive_draws = std::max(naive_rows, static_cast<std::int64_t>(total) / 4);
    const double batches_run =
        std::ceil(static_cast<double>(naive_draws) / naive_rows) * naive_rows;
    const double s = seconds([&] { naive.most_votes(naive_draws); }) * total / batches_run;
    const double u = seconds([&] { unfused.most_votes(naive_draws); }) * total / batches_run;
    const auto batches = static_cast<int>(total / static_cast<double>(rows)) / thread_count();
    double n = 0.0, t = 0.0;
#pragma omp parallel num_threads(1)
    {
      n = seconds([&] {
        for (int i = 0; i < batches; ++i) {
          net.noise.forward(stream, {.seed = 1, .tag = StreamTag::estimation, .rows = noise_rows},
                            elements, prefix.data(), noisy.data());
        }
      });
      t = seconds([&] {
        for (int i = 0; i < batches; ++i) {
          kernels::draw_statistics(stream, {rows, width, 10}, features.data(),
                                   net.head->weight().value.data(), net.head->bias().value.data(),
                                   slots.data(), votes.data(), sums.data(), squares.data());
        }
      });
    }
    if (repetition < 0) continue;
    fast.push_back(f);
    slow.push_back(s);
    separate.push_back(u);
    noise.push_back(n);
    statistics.push_back(t);
  }
  const auto ratio = [&](const std::vector<double>& other) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < fast.size(); ++i) ratios.push_back(other[i] / fast[i]);
    return median(ratios);
  };
  const double rate = total / median(fast);
  const double noise_share = median(noise) / median(fast),
               statistics_share = median(statistics) / median(fast);
  if (json) {
    const nlohmann::json report = {{"processor", cpu_model()},
                                   {"threads", thread_count()},
                                   {"images", images},
                                   {"draws", draws},
                                   {"draws_per_second", rate},
                                   {"naive_draws_per_second", total / median(slow)},
                                   {"naive_ratio", ratio(slow)},
                                   {"unfused_draws_per_second", total / median(separate)},
                                   {"unfused_ratio", ratio(separate)},
                                   {"noise_share", noise_share},
                                   {"statistics_share", statistics_share}};
    fmt::print("{}\n", report.dump());
    return 0;
  }
  fmt::print("{}, {} threads; {} images x {} draws, median of {}\n\n", cpu_model(), thread_count(),
             images, draws, repetitions);
  const auto line = [](const char* name, double draws_per_second, double times) {
    fmt::print("{:<52} {:>10.0f} {:>8.2f}\n", name, draws_per_second, times);
  };
  fmt::print("{:<52} {:>10} {:>8}\n", "MNIST CNN, noise after the first layer", "draws/s", "ratio");
  line("multi-draw predictor", rate, 1.0);
  line("naive: std::normal_distribution, whole network", total / median(slow), ratio(slow));
  line("unfused: noise tensor by our kernel, whole network", total / median(separate),
       ratio(separate));
  fmt::print("\nshare of a draw's time: noise {:.1f} %, statistics {:.1f} %\n", 100.0 * noise_share,
             100.0 * statistics_share);
  return 0;
}
