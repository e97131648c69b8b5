#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "bench/timing.hpp"
#include "engine/device.hpp"
#include "kernels/cpu/simd.hpp"

/// Noise and draw statistics per second on each instruction set, against the standard library's
/// generator. Every thread works on data of its own that stays in its L2 cache.
namespace {

using namespace pixeldp;
using namespace pixeldp::kernels;

constexpr std::int64_t elements = 32768;
constexpr int repetitions = 15;
constexpr double shortest_seconds = 0.02;

struct Line {
  std::string operation, path;
  int threads = 1;
  double rate = 0.0;  ///< per second
};

/// Items per second of all threads together: the median of several repetitions. make() gives each
/// thread what to call; a call does `items` items.
double rate_of(int threads, double items, const std::function<std::function<void()>()>& make) {
  std::vector<std::function<void()>> calls;
  for (int t = 0; t < threads; ++t) calls.push_back(make());
  const auto run = [&](int count) {
#pragma omp parallel num_threads(threads)
    {
      const auto& call = calls[static_cast<std::size_t>(omp_get_thread_num())];
      for (int i = 0; i < count; ++i) call();
    }
  };
  int count = 1;  // found on one thread, so that a late start of another does not pass for work
  const auto alone = [&] {
    for (int i = 0; i < count; ++i) calls[0]();
  };
  while (bench::seconds(alone) < shortest_seconds) count *= 2;
  std::vector<double> times;
  for (int i = 0; i < repetitions; ++i) times.push_back(bench::seconds([&] { run(count); }));
  return items * count * threads / bench::median(times);
}

double standard_rate(int threads) {
  return rate_of(threads, elements, [] {
    return [y = std::vector<float>(elements), random = std::mt19937(1),
            normal = std::normal_distribution<float>()]() mutable {
      for (float& value : y) value = 0.25f + 0.5f * normal(random);
    };
  });
}

double noise_rate(cpu::InstructionSet set, NoiseDistribution distribution, int threads) {
  return rate_of(threads, elements, [&] {
    NoiseParams params;
    params.distribution = distribution;
    params.scale = 0.5f;
    return [=, x = std::vector<float>(elements, 0.25f), y = std::vector<float>(elements),
            row = NoiseRow()]() mutable {
      cpu::add_noise(set, params, &row, 1, elements, x.data(), y.data());
      ++row.draw;
    };
  });
}

double statistics_rate(cpu::InstructionSet set, int threads) {
  constexpr DrawStatisticsParams params = {128, 1024, 10};
  return rate_of(threads, static_cast<double>(params.rows), [&] {
    std::vector<float> features(params.rows * params.width), weight(params.classes * params.width);
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, 0.1f);
    for (float& value : features) value = std::max(0.0f, normal(random));
    for (float& value : weight) value = normal(random);
    return [=, images = std::vector<std::int64_t>(params.rows),
            statistics = std::vector<std::uint64_t>(3 * params.classes)]() mutable {
      std::uint64_t* votes = statistics.data();
      cpu::draw_statistics(set, params, features.data(), weight.data(), nullptr, images.data(),
                           votes, votes + params.classes, votes + 2 * params.classes);
    };
  });
}

std::vector<Line> measure(int threads) {
  std::vector<Line> lines = {{"Gaussian", "std::mt19937", threads, standard_rate(threads)}};
  for (const auto& [name, distribution] : {std::pair("Gaussian", NoiseDistribution::gaussian),
                                           std::pair("Laplace", NoiseDistribution::laplace)}) {
    for (const cpu::InstructionSet set : cpu::instruction_sets) {
      if (!cpu::supported(set)) continue;
      lines.push_back(
          {name, std::string(cpu::name(set)), threads, noise_rate(set, distribution, threads)});
    }
  }
  for (const cpu::InstructionSet set : cpu::instruction_sets) {
    if (!cpu::supported(set)) continue;
    lines.push_back({"statistics 1024 x 10", std::string(cpu::name(set)), threads,
                     statistics_rate(set, threads)});
  }
  return lines;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Noise added to a prefix in L2, and draw statistics of 128 rows, per second");
  bool json = false;
  program.add_flag("--json", json, "Print one JSON object");
  CLI11_PARSE(program, argc, argv);

  std::string sets;
  for (const cpu::InstructionSet set : cpu::instruction_sets) {
    if (cpu::supported(set)) sets += fmt::format("{}{}", sets.empty() ? "" : ", ", cpu::name(set));
  }
  const int all = thread_count();
  std::vector<Line> lines = measure(1);
  if (all > 1)
    for (const Line& line : measure(all)) lines.push_back(line);
  const auto ratio = [&lines](const Line& line) {  // to the standard library on as many threads
    return line.rate / std::find_if(lines.begin(), lines.end(), [&](const Line& other) {
                         return other.threads == line.threads;
                       })->rate;
  };

  if (json) {
    nlohmann::json report = {{"processor", cpu_model()}, {"instruction_sets", sets}};
    for (const Line& line : lines) {
      nlohmann::json entry = {{"operation", line.operation},
                              {"path", line.path},
                              {"threads", line.threads},
                              {"per_second", line.rate}};
      if (line.operation.rfind("statistics", 0) != 0) entry["ratio_to_standard"] = ratio(line);
      report["lines"].push_back(entry);
    }
    fmt::print("{}\n", report.dump());
    return 0;
  }
  fmt::print("{}; {}\n", cpu_model(), sets);
  fmt::print("{:22}{:14}{:>8}{:>12}{:>10}\n", "operation", "path", "threads", "million/s", "ratio");
  for (const Line& line : lines) {
    const bool rows = line.operation.rfind("statistics", 0) == 0;
    fmt::print("{:22}{:14}{:>8}{:>12.2f}{:>10}\n", line.operation, line.path, line.threads,
               line.rate * 1e-6, rows ? "" : fmt::format("{:.1f}", ratio(line)));
  }
}
