#include "bench/report.hpp"

#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/device.hpp"
#include "engine/io/file.hpp"

namespace pixeldp::bench {
namespace {

std::vector<std::string> instruction_sets() {
  const CpuFeatures& cpu = cpu_features();
  std::vector<std::string> names;
  const auto add = [&](bool there, const char* name) {
    if (there) names.emplace_back(name);
  };
  add(cpu.avx2, "AVX2");
  add(cpu.avx_vnni, "AVX-VNNI");
  add(cpu.avx512, "AVX-512");
  add(cpu.bf16, "AVX-512 BF16");
  add(cpu.vnni, "AVX-512 VNNI");
  add(cpu.amx, "AMX");
  return names;
}

bool met(const Line& line, const Target& target) {
  const double value =
      target.of == Target::Of::rate ? line.rate.median : line.ratio.value_or(std::nan(""));
  return target.bound == Target::Bound::at_least ? value >= target.value : value <= target.value;
}

/// As many places as there is something to see.
std::string figures(double value) {
  return fmt::format("{:.{}f}", value, value >= 1000 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 3 : 6);
}

const char* name(Target::Of of) { return of == Target::Of::rate ? "rate" : "ratio"; }
const char* sign(Target::Bound bound) { return bound == Target::Bound::at_least ? ">=" : "<="; }

}  // namespace

Report::Report(bool json) : json_(json) {
  const std::vector<std::string> sets = instruction_sets();
  report_ = {{"processor", cpu_model()},         {"threads", thread_count()},
             {"instruction_sets", sets},         {"lines", nlohmann::json::array()},
             {"notes", nlohmann::json::array()}, {"failed", nlohmann::json::array()}};
  if (json_) return;
  fmt::print("{}; {} threads; {}\n", cpu_model(), thread_count(), fmt::join(sets, ", "));
}

void Report::about(const std::string& name, const nlohmann::json& value, std::string_view text) {
  report_[name] = value;
  if (!json_) fmt::print("{}\n", text);
}

void Report::part(std::string_view name) {
  part_ = name;
  if (json_) return;
  fmt::print("\n{:<72} {:>10} {:<8} {:>7}  {}\n", part_, "rate", "", "ratio", "to");
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
                              {"rate", line.rate.median},
                              {"low", line.rate.low},
                              {"high", line.rate.high},
                              {"unit", line.unit},
                              {"ratio", nlohmann::json(nullptr)},
                              {"to", line.to},
                              {"targets", targets},
                              {"invalid", line.invalid}});
  if (line.ratio) report_["lines"].back()["ratio"] = *line.ratio;
  if (json_) return;
  fmt::print("{:<72} {:>10} {:<8} {:>7}  {}{}{}\n", line.what, figures(line.rate.median), line.unit,
             line.ratio ? fmt::format("{:.3f}", *line.ratio) : "", line.to, text,
             line.invalid.empty() ? "" : fmt::format("  [INVALID: {}]", line.invalid));
  std::fflush(stdout);
}

void Report::note(std::string_view text) {
  report_["notes"].push_back({{"part", part_}, {"text", text}});
  if (json_) return;
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Report::failed(std::string_view what, std::string_view error) {
  ++failures_;
  report_["failed"].push_back({{"part", part_}, {"what", what}, {"error", error}});
  if (json_) return;
  fmt::print("{:<72} FAILED: {}\n", what, error);
  std::fflush(stdout);
}

void Report::save(const std::filesystem::path& path) const {
  write_file_atomically(path, report_.dump() + "\n");
}

void Report::finish() {
  report_["targets"] = {{"met", met_}, {"missed", missed_}};
  if (json_) {
    fmt::print("{}\n", report_.dump());
    return;
  }
  if (const int targets = met_ + static_cast<int>(missed_.size()); targets > 0)
    fmt::print("\n{} of {} targets met\n", met_, targets);
  for (const std::string& missed : missed_) fmt::print("missed: {}\n", missed);
  if (failures_ > 0) fmt::print("\n{} FAILED\n", failures_);
}

}  // namespace pixeldp::bench
