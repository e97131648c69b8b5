#include "bench/device/session.hpp"

#include <cmath>
#include <exception>

namespace pixeldp::bench {
namespace {

Stopwatch::Settings settings_of(const DeviceOptions& options) {
  Stopwatch::Settings settings;
  settings.samples = options.samples;
  if (options.device.kind == DeviceKind::emulated) {
    // A time tells nothing here. Two runs, so that graphs are recorded as on a GPU.
    settings.sample = 0.0;
    settings.budget = 0.0;
    settings.least_runs = 2;
    settings.limits = {.shortest = 0.0, .widest = HUGE_VAL};
  }
  return settings;
}

}  // namespace

Session::Session(const DeviceOptions& options, Report& report)
    : options_(options),
      report_(report),
      stream_(options.device),
      watch_(stream_, settings_of(options)),
      ceilings_(stream_, watch_, options.size) {}

void Session::attempt(const std::string& what, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    report_.failed(what, error.what());
  }
}

void Session::line(const std::string& what, const Timing& timing, double count,
                   const std::string& unit, const Share& share) {
  const bool emulated = options_.device.kind == DeviceKind::emulated;
  report_.line({what,
                timing.rate(count),
                unit,
                share.value,
                share.of + (emulated ? " (emulated: no speed)" : ""),
                {},
                timing.invalid});
}

}  // namespace pixeldp::bench
