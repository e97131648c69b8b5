#include "bench/report.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/device.hpp"

namespace pixeldp::bench {
namespace {

std::vector<std::string> instruction_sets() {
  const CpuFeatures& cpu = cpu_features();
  std::vector<std::string> names;
  const auto add = [&](bool there, const char* name) {
    if (there) names.emplace_back(name);
  };
  add(cpu.avx2, "AVX2");
  add(cpu.avx512, "AVX-512");
  add(cpu.bf16, "AVX-512 BF16");
  add(cpu.vnni, "AVX-512 VNNI");
  return names;
}

bool met(const Line& line, const Target& target) {
  const double value = target.of == Target::Of::rate ? line.rate : line.ratio;
  return target.bound == Target::Bound::at_least ? value >= target.value : value <= target.value;
}

const char* name(Target::Of of) { return of == Target::Of::rate ? "rate" : "ratio"; }
const char* sign(Target::Bound bound) { return bound == Target::Bound::at_least ? ">=" : "<="; }

}  // namespace

Report::Report(bool json) : json_(json) {
  const std::vector<std::string> sets = instruction_sets();
  report_ = {{"processor", cpu_model()},
             {"threads", thread_count()},
             {"instruction_sets", sets},
             {"lines", nlohmann::json::array()},
             {"notes", nlohmann::json::array()}};
  if (json_) return;
  fmt::print("{}; {} threads; {}\n", cpu_model(), thread_count(), fmt::join(sets, ", "));
}

void Report::part(std::string_view name) {
  part_ = name;
  if (json_) return;
  fmt::print("\n{:<56} {:>10} {:<8} {:>7}  {}\n", part_, "rate", "", "ratio", "to");
  std::fflush(stdout);
}

void Report::line(const Line& line) {
  nlohmann::json targets = nlohmann::json::array();
  std::string text;
  for (const Target& target : line.targets) {
    const bool reached = met(line, target);
    targets.push_back({{"of", name(target.of)},
                       {"bound", sign(target.bound)},
                       {"value", target.value},
                       {"met", reached}});
    const std::string wanted =
        fmt::format("{} {} {:g}", name(target.of), sign(target.bound), target.value);
    text += fmt::format("  [{}: {}]", wanted, reached ? "met" : "MISSED");
    if (reached)
      ++met_;
    else
      missed_.push_back(fmt::format("{}: {}: {}", part_, line.what, wanted));
  }
  report_["lines"].push_back({{"part", part_},
                              {"what", line.what},
                              {"rate", line.rate},
                              {"unit", line.unit},
                              {"ratio", line.ratio},
                              {"to", line.to},
                              {"targets", targets}});
  if (json_) return;
  fmt::print("{:<56} {:>10.1f} {:<8} {:>7.3f}  {}{}\n", line.what, line.rate, line.unit, line.ratio,
             line.to, text);
  std::fflush(stdout);
}

void Report::note(std::string_view text) {
  report_["notes"].push_back({{"part", part_}, {"text", text}});
  if (json_) return;
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Report::finish() {
  report_["targets"] = {{"met", met_}, {"missed", missed_}};
  if (json_) {
    fmt::print("{}\n", report_.dump());
    return;
  }
  fmt::print("\n{} of {} targets met\n", met_, met_ + static_cast<int>(missed_.size()));
  for (const std::string& missed : missed_) fmt::print("missed: {}\n", missed);
}

}  // namespace pixeldp::bench
