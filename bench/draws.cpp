// Draw throughput of the MNIST CNN: the multi-draw predictor against the same network run naively,
// in turns in the same run, and the share of a draw's time that noise and statistics take.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/device.hpp"
#include "kernels/draw_statistics.hpp"
#include "layers/networks/network_spec.hpp"
#include "pixeldp/multi_draw.hpp"

using namespace pixeldp;

namespace {

double seconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

layers::Network noisy_network() {
  layers::Network net = layers::make_network({.rescale_prefix = true}, 1);
  net.noise.distribution = kernels::NoiseDistribution::gaussian;
  net.noise.scale = 0.2537;
  return net;
}

/// One draw of every image of a batch at a time, as a framework without any notion of draws does
/// it: a tensor of noise is made and added to the output of the first layer, the whole network runs
/// for each draw, and the logits come back to be counted.
class NaiveDraws {
 public:
  NaiveDraws(layers::Network& net, std::int64_t images)
      : net_(net), pass_(net), images_(net.input.with_rows(images)) {
    for (std::int64_t i = 0; i < images; ++i)
      rows_.push_back({i, static_cast<std::uint32_t>(i), 0});
    net_.noise.scale = 0.0;  // the noise is added by hand below
  }

  std::int64_t votes(std::uint32_t draws) {
    std::int64_t counted = 0;
    const kernels::NoiseParams params{.distribution = kernels::NoiseDistribution::gaussian,
                                      .scale = 0.2537f,
                                      .seed = 1,
                                      .activation = kernels::Activation::identity()};
    Tensor features, noise, zeros(net_.noise_shape(images_.rows()));
    std::vector<Tensor> outputs(net_.body.size());
    Tensor logits;
    for (std::uint32_t draw = 0; draw < draws; ++draw) {
      for (auto& row : rows_) row.draw = draw;
      net_.prefix[0]->forward(stream_, images_, features);
      noise.resize(features.shape());
      kernels::add_noise(stream_, params, rows_.data(), images_.rows(), features.shape().row_size(),
                         zeros.data(), noise.data());
      for (std::int64_t i = 0; i < features.size(); ++i) {
        features.data()[i] = std::max(features.data()[i] + noise.data()[i], 0.0f);
      }
      const Tensor* x = &features;
      for (std::size_t i = 0; i < net_.body.size(); ++i) {
        net_.body[i]->forward(stream_, *x, outputs[i]);
        x = &outputs[i];
      }
      net_.head->forward(stream_, *x, logits);
      for (std::int64_t i = 0; i < images_.rows(); ++i) {
        counted += std::max_element(logits.row(i), logits.row(i + 1)) - logits.row(i) >= 0;
      }
    }
    return counted;
  }

 private:
  layers::Network& net_;
  layers::TrainingPass pass_;
  Tensor images_;
  std::vector<kernels::NoiseRow> rows_;
  Stream stream_;
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
  layers::Network net = noisy_network(), naive_net = noisy_network();
  const MultiDrawPredictor predictor(stream, net);
  NaiveDraws naive(naive_net, images);
  const double total = static_cast<double>(images) * draws;

  // The parts that are not convolutions and products, on one micro-batch, on one thread each.
  const std::int64_t rows = MultiDrawPredictor::default_micro_batch, width = net.head->options().in;
  const std::int64_t elements = net.noise_shape(1).row_size();
  Tensor prefix(Shape{1, elements}), noisy(Shape{rows, elements}), features(Shape{rows, width});
  features.fill(0.01f);
  std::vector<kernels::NoiseRow> noise_rows;
  for (std::int64_t i = 0; i < rows; ++i)
    noise_rows.push_back({0, 0, static_cast<std::uint32_t>(i)});
  const std::vector<std::int64_t> slots(static_cast<std::size_t>(rows), 0);
  std::vector<std::uint64_t> votes(10), sums(10), squares(10);

  std::vector<double> fast, slow, noise, statistics;
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
    const double s = seconds([&] { naive.votes(draws); });
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
    noise.push_back(n);
    statistics.push_back(t);
  }
  std::vector<double> ratios;
  for (std::size_t i = 0; i < fast.size(); ++i) ratios.push_back(slow[i] / fast[i]);
  const double rate = total / median(fast), naive_rate = total / median(slow);
  const double noise_share = median(noise) / median(fast),
               statistics_share = median(statistics) / median(fast);
  if (json) {
    const nlohmann::json report = {{"processor", cpu_model()},
                                   {"threads", thread_count()},
                                   {"images", images},
                                   {"draws", draws},
                                   {"draws_per_second", rate},
                                   {"naive_draws_per_second", naive_rate},
                                   {"ratio", median(ratios)},
                                   {"noise_share", noise_share},
                                   {"statistics_share", statistics_share}};
    fmt::print("{}\n", report.dump());
    return 0;
  }
  fmt::print("{}, {} threads; {} images x {} draws, median of {}\n\n", cpu_model(), thread_count(),
             images, draws, repetitions);
  fmt::print("{:<42} {:>12}\n", "MNIST CNN, noise after the first layer", "draws/s");
  fmt::print("{:<42} {:12.0f}\n", "multi-draw predictor", rate);
  fmt::print("{:<42} {:12.0f}\n", "naive: noise tensor, whole network per draw", naive_rate);
  fmt::print("{:<42} {:12.2f}\n\n", "ratio", median(ratios));
  fmt::print("share of a draw's time: noise {:.1f} %, statistics {:.1f} %\n", 100.0 * noise_share,
             100.0 * statistics_share);
  return 0;
}
