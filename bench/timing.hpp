#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include <omp.h>

#include "bench/rate.hpp"

namespace pixeldp::bench {

/// Seconds that a call of f takes.
template <class F>
double seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Several things timed in turns, each once per turn, so that whatever else the machine does meets
/// all of them alike; every other turn goes backwards, so that it is not always the same one that
/// finds in the caches what another left there. The first turn warms up and does not count.
class Turns {
 public:
  /// Each thing does its work and returns the seconds it took, per item of whatever it counts.
  using Thing = std::function<double()>;

  Turns(int repetitions, const std::vector<Thing>& things) : times_(things.size()) {
    for (int turn = -1; turn < repetitions; ++turn)
      for (std::size_t i = 0; i < things.size(); ++i) {
        const std::size_t thing = turn % 2 == 0 ? i : things.size() - 1 - i;
        const double time = things[thing]();
        if (turn >= 0) times_[thing].push_back(time);
      }
  }

  std::size_t size() const { return times_.size(); }
  /// Items per second of a thing.
  Rate rate(std::size_t thing) const { return rate_of(times_[thing]); }
  /// Seconds of one thing over seconds of another: the median of the turns' ratios.
  double ratio(std::size_t thing, std::size_t other) const {
    std::vector<double> ratios;
    for (std::size_t turn = 0; turn < times_[thing].size(); ++turn)
      ratios.push_back(times_[thing][turn] / times_[other][turn]);
    return median(ratios);
  }
  /// How many times as fast as another a thing is.
  double speedup(std::size_t thing, std::size_t other) const { return ratio(other, thing); }

 private:
  std::vector<std::vector<double>> times_;  // of each thing, turn by turn
};

/// Sets the number of threads of parallel regions for one scope.
class Threads {
 public:
  explicit Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  ~Threads() { omp_set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace pixeldp::bench
