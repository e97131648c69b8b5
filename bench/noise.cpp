#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <omp.h>

#include "bench/parts.hpp"
#include "bench/timing.hpp"
#include "engine/device.hpp"
#include "kernels/cpu/simd.hpp"

// Every thread works on data of its own that stays in its L2 cache.
namespace pixeldp::bench {
namespace {

using namespace kernels;
using cpu::InstructionSet;

constexpr std::int64_t elements = 32768;
constexpr double shortest_seconds = 0.005;

/// Something that each thread does over and over on data of its own.
class Repeated {
 public:
  /// make() gives a thread what to call; a call does `items` items.
  Repeated(int threads, std::int64_t items, const std::function<std::function<void()>()>& make)
      : items_(static_cast<double>(items)) {
    for (int t = 0; t < threads; ++t) calls_.push_back(make());
    // Found on one thread, so that a late start of another does not pass for work.
    const auto alone = [&] {
      for (int i = 0; i < count_; ++i) calls_[0]();
    };
    while (seconds(alone) < shortest_seconds) count_ *= 2;
  }

  /// Seconds per item of all threads together.
  double operator()() const {
    const int threads = static_cast<int>(calls_.size());
    const auto run = [&] {
#pragma omp parallel num_threads(threads)
      {
        const auto& call = calls_[static_cast<std::size_t>(omp_get_thread_num())];
        for (int i = 0; i < count_; ++i) call();
      }
    };
    return seconds(run) / (items_ * count_ * threads);
  }

 private:
  double items_;
  int count_ = 1;
  std::vector<std::function<void()>> calls_;
};

std::function<void()> standard_noise() {
  return [y = std::vector<float>(elements), random = std::mt19937(1),
          normal = std::normal_distribution<float>()]() mutable {
    for (float& value : y) value = 0.25f + 0.5f * normal(random);
  };
}

std::function<void()> our_noise(InstructionSet set, NoiseDistribution distribution) {
  NoiseParams params;
  params.distribution = distribution;
  params.scale = 0.5f;
  return [=, x = std::vector<float>(elements, 0.25f), y = std::vector<float>(elements),
          row = NoiseRow()]() mutable {
    cpu::add_noise(set, params, &row, 1, elements, x.data(), y.data());
    ++row.draw;
  };
}

constexpr DrawStatisticsParams statistics_params = {128, 1024, 10};

std::function<void()> statistics(InstructionSet set) {
  constexpr DrawStatisticsParams params = statistics_params;
  std::vector<float> features(params.rows * params.width), weight(params.classes * params.width);
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  for (float& value : features) value = std::max(0.0f, normal(random));
  for (float& value : weight) value = normal(random);
  return [=, images = std::vector<std::int64_t>(params.rows),
          counts = std::vector<std::uint64_t>(3 * params.classes)]() mutable {
    std::uint64_t* votes = counts.data();
    cpu::draw_statistics(set, params, features.data(), weight.data(), nullptr, images.data(), votes,
                         votes + params.classes, votes + 2 * params.classes);
  };
}

void measure(int threads, int repetitions, Report& report) {
  struct Case {
    std::string what, unit, to;
    std::size_t against;  // the number of the case that it is compared with
    std::vector<Target> targets = {};
  };
  std::vector<Turns::Thing> things = {Repeated(threads, elements, standard_noise)};
  std::vector<Case> cases = {{"", "M/s", "", 0}};
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : cpu::instruction_sets)
    if (cpu::supported(set) && set != InstructionSet::avx_vnni && set != InstructionSet::amx)
      sets.push_back(set);  // those have no noise
  const std::string on = fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
  for (const auto& [distribution, name] : {std::pair(NoiseDistribution::gaussian, "Gaussian"),
                                           std::pair(NoiseDistribution::laplace, "Laplace")}) {
    for (const InstructionSet set : sets) {
      Case made{fmt::format("{} noise, {}, {}", name, cpu::name(set), on), "M/s",
                "std::mt19937 and std::normal_distribution", 0};
      if (threads == 1 && distribution == NoiseDistribution::gaussian) {
        if (set == InstructionSet::avx512) made.targets.push_back(Target::rate_at_least(300.0));
        if (set == sets.back()) made.targets.push_back(Target::ratio_at_least(3.0));
      }
      cases.push_back(made);
      things.push_back(Repeated(threads, elements, [&] { return our_noise(set, distribution); }));
    }
  }
  const std::size_t plain = things.size();
  for (const InstructionSet set : sets) {
    cases.push_back({fmt::format("statistics 1024 x 10, {}, {}", cpu::name(set), on), "M rows/s",
                     "the compiler's code", plain});
    things.push_back(Repeated(threads, statistics_params.rows, [&] { return statistics(set); }));
  }
  const Turns turns(repetitions, things);
  for (std::size_t i = 1; i < cases.size(); ++i) {
    const Case& c = cases[i];
    report.line(
        {c.what, turns.rate(i) * 1e-6, c.unit, turns.speedup(i, c.against), c.to, c.targets});
  }
}

}  // namespace

void noise(const Options& options, Report& report) {
  measure(1, options.repetitions, report);
  if (thread_count() > 1) measure(thread_count(), options.repetitions, report);
}

}  // namespace pixeldp::bench
