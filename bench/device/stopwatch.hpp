#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/cuda/kernel_cases.hpp"
#include "bench/rate.hpp"
#include "engine/buffer.hpp"

namespace pixeldp::bench {

/// Whether a run finds in the L2 cache what the run before it left there.
enum class Cache { warm, flushed };
inline constexpr Cache caches[] = {Cache::warm, Cache::flushed};
/// "warm", "L2 flushed"
const char* name(Cache cache);

/// How long one run took.
struct Timing {
  std::vector<double> seconds;  ///< of each sample, per run
  std::string invalid;          ///< why these tell nothing

  double median() const { return bench::median(seconds); }
  /// Of something that a run does `count` of.
  Rate rate(double count) const { return rate_of(seconds) * count; }
};

/// Times the work of one stream by events in the stream itself.
class Stopwatch {
 public:
  struct Settings {
    int samples = 15;      ///< as far as the time below allows, but never less than 3
    double sample = 2e-4;  ///< seconds that a sample takes at the least, by repeated runs
    double budget = 0.3;   ///< seconds for all samples together
    int least_runs = 1;    ///< of a sample
    Limits limits = {};
  };

  Stopwatch(const Stream& stream, const Settings& settings);

  /// The first run is not counted. Warm, the runs of a sample follow each other as one graph, so
  /// that nobody waits for the processor to launch them; flushed, a sample is one run, before which
  /// more than the L2 cache holds is overwritten.
  Timing time(Cache cache, const Work& work);

  /// The same for what waits by itself and tells the seconds that it took, by a clock of the
  /// processor.
  Timing time(const std::function<double()>& seconds) const;

  /// Seconds of one run after one that is not counted: roughly.
  double glance(const Work& work);

 private:
  std::vector<double> warm_samples(const Work& work, double estimate, int& runs);
  std::vector<double> flushed_samples(const Work& work, double estimate);
  int sample_count(double estimate) const;

  Stream stream_;
  Settings settings_;
  Memory flush_;  // larger than the L2 cache
  std::size_t flush_bytes_;
};

}  // namespace pixeldp::bench
