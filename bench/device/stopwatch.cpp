#include "bench/device/stopwatch.hpp"

#include <algorithm>
#include <cmath>

#include "engine/captured_graph.hpp"
#include "engine/event.hpp"
#include "engine/runtime.hpp"

namespace pixeldp::bench {
namespace {

std::size_t flush_size(const Device& device) {
  return 2 * runtime(device.kind).properties(device.index).l2_bytes;
}

}  // namespace

const char* name(Cache cache) {
  switch (cache) {
    case Cache::warm:
      return "warm";
    case Cache::flushed:
      return "L2 flushed";
  }
  return "";
}

Stopwatch::Stopwatch(const Stream& stream, const Settings& settings)
    : stream_(stream),
      settings_(settings),
      flush_(stream.device(), flush_size(stream.device())),
      flush_bytes_(flush_size(stream.device())) {}

int Stopwatch::sample_count(double estimate) const {
  constexpr double fewest = 3.0;
  return static_cast<int>(
      std::clamp(settings_.budget / estimate, fewest, std::max<double>(fewest, settings_.samples)));
}

std::vector<double> Stopwatch::warm_samples(const Work& work, double estimate, int& runs) {
  constexpr double most_runs = 1000.0;
  runs = static_cast<int>(
      std::clamp(std::ceil(settings_.sample / estimate), double(settings_.least_runs), most_runs));
  CapturedGraph graph;
  if (runs > 1)
    graph = CapturedGraph(stream_, [&] {
      for (int run = 0; run < runs; ++run) work();
    });
  const auto sample = [&] { graph ? graph.launch() : work(); };
  sample();
  std::vector<Event> moments = {Event(stream_)};
  for (int i = sample_count(estimate * runs); i > 0; --i) {
    sample();
    moments.emplace_back(stream_);
  }
  moments.back().wait();
  std::vector<double> samples;
  for (std::size_t i = 1; i < moments.size(); ++i)
    samples.push_back(moments[i].since(moments[i - 1]));
  return samples;
}

std::vector<double> Stopwatch::flushed_samples(const Work& work, double estimate) {
  std::vector<Event> starts, ends;
  for (int i = sample_count(estimate); i > 0; --i) {
    zero_memory(stream_, flush_.data(), flush_bytes_);
    starts.emplace_back(stream_);
    work();
    ends.emplace_back(stream_);
  }
  ends.back().wait();
  std::vector<double> samples;
  for (std::size_t i = 0; i < ends.size(); ++i) samples.push_back(ends[i].since(starts[i]));
  return samples;
}

double Stopwatch::glance(const Work& work) {
  work();
  stream_.synchronize();
  const Event start(stream_);
  work();
  const Event end(stream_);
  end.wait();
  constexpr double shortest = 1e-6;  // whatever the clock says
  return std::max(end.since(start), shortest);
}

Timing Stopwatch::time(Cache cache, const Work& work) {
  const double estimate = glance(work);
  int runs = 1;
  Timing timing;
  timing.seconds =
      cache == Cache::warm ? warm_samples(work, estimate, runs) : flushed_samples(work, estimate);
  timing.invalid = why_invalid(timing.seconds, settings_.limits);
  for (double& sample : timing.seconds) sample /= runs;
  return timing;
}

Timing Stopwatch::time(const std::function<double()>& seconds) const {
  const double estimate = seconds();
  Timing timing;
  for (int i = sample_count(estimate); i > 0; --i) timing.seconds.push_back(seconds());
  timing.invalid = why_invalid(timing.seconds, settings_.limits);
  return timing;
}

}  // namespace pixeldp::bench
