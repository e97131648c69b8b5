#include "bench/compare.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp::bench {
namespace {

using nlohmann::json;

struct Measured {
  Rate rate;
  std::string invalid;
};

using Key = std::tuple<std::string, std::string, std::string>;  // part, what, unit

struct Measurements {
  std::vector<Key> order;
  std::map<Key, Measured> by_key;
};

std::string text(const Key& key) {
  const auto& [part, what, unit] = key;
  return fmt::format("{}: {}, {}", part, what, unit);
}

Measurements measurements_of(const json& report) {
  Measurements all;
  for (const json& line : report.at("lines")) {
    const Key key = {line.at("part"), line.at("what"), line.at("unit")};
    const Measured measured = {{line.at("rate"), line.at("low"), line.at("high")},
                               line.at("invalid")};
    if (all.by_key.emplace(key, measured).second) all.order.push_back(key);
  }
  return all;
}

json report_of(const std::string& path) {
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& error) {
    fail("{}: no JSON that bench --json printed: {}", path, error.what());
  }
}

std::string machine_of(const json& report) {
  if (report.contains("device")) return report["device"].value("model", "?");
  return report.value("processor", "?");
}

json as_json(const Comparison& found) {
  json lines = json::array();
  for (const ComparedLine& line : found.lines)
    lines.push_back({{"part", line.part},
                     {"what", line.what},
                     {"unit", line.unit},
                     {"before", line.before},
                     {"after", line.after},
                     {"change", name(line.change)},
                     {"why", line.why}});
  return {{"lines", lines},
          {"only_before", found.only_before},
          {"only_after", found.only_after},
          {"failed", found.failed}};
}

void print(const Comparison& found) {
  std::array<int, 4> counts = {};
  std::string part;
  for (const ComparedLine& line : found.lines) {
    if (line.part != part) fmt::print("{}{}\n", part.empty() ? "" : "\n", line.part);
    part = line.part;
    fmt::print("{:<72} {:>12.5g} {:>12.5g} {:<8} {:>6.3f}  {}{}\n", line.what, line.before,
               line.after, line.unit, line.after / line.before, name(line.change),
               line.why.empty() ? "" : ": " + line.why);
    ++counts[static_cast<std::size_t>(line.change)];
  }
  for (const std::string& line : found.only_before) fmt::print("only in the old file: {}\n", line);
  for (const std::string& line : found.only_after) fmt::print("only in the new file: {}\n", line);
  for (const std::string& line : found.failed) fmt::print("FAILED in the new file: {}\n", line);
  for (const Change change : {Change::faster, Change::slower, Change::same, Change::ambiguous})
    fmt::print("{}{} {}", change == Change::faster ? "\n" : ", ",
               counts[static_cast<std::size_t>(change)], name(change));
  fmt::print("\n");
}

}  // namespace

Change change_of(const Rate& before, const Rate& after) {
  const double worst = after.low / before.high, best = after.high / before.low;
  constexpr double up = 1.0 + tolerated_change, down = 1.0 / up;
  if (worst > up) return Change::faster;
  if (best < down) return Change::slower;
  if (worst >= down && best <= up) return Change::same;
  return Change::ambiguous;
}

const char* name(Change change) {
  switch (change) {
    case Change::faster:
      return "FASTER";
    case Change::slower:
      return "SLOWER";
    case Change::same:
      return "SAME";
    case Change::ambiguous:
      return "AMBIGUOUS";
  }
  return "";
}

bool Comparison::slower() const {
  return std::ranges::any_of(
      lines, [](const ComparedLine& line) { return line.change == Change::slower; });
}

Comparison compare(const json& before, const json& after) {
  const Measurements old_lines = measurements_of(before), new_lines = measurements_of(after);
  Comparison found;
  for (const Key& key : old_lines.order) {
    const auto at = new_lines.by_key.find(key);
    if (at == new_lines.by_key.end()) {
      found.only_before.push_back(text(key));
      continue;
    }
    const Measured &was = old_lines.by_key.at(key), &is = at->second;
    ComparedLine line = {std::get<0>(key), std::get<1>(key), std::get<2>(key), was.rate.median,
                         is.rate.median};
    if (!was.invalid.empty())
      line.why = "the old one is invalid, " + was.invalid;
    else if (!is.invalid.empty())
      line.why = "the new one is invalid, " + is.invalid;
    else
      line.change = change_of(was.rate, is.rate);
    found.lines.push_back(line);
  }
  for (const Key& key : new_lines.order)
    if (!old_lines.by_key.contains(key)) found.only_after.push_back(text(key));
  for (const json& line : after.value("failed", json::array()))
    found.failed.push_back(fmt::format("{}: {}: {}", line.at("part").get<std::string>(),
                                       line.at("what").get<std::string>(),
                                       line.at("error").get<std::string>()));
  return found;
}

int compare_files(const std::string& before, const std::string& after, bool json_wanted) {
  const json old_report = report_of(before), new_report = report_of(after);
  Comparison found;
  try {
    found = compare(old_report, new_report);
  } catch (const json::exception& error) {
    fail("{} and {}: not both are what bench --json printed: {}", before, after, error.what());
  }
  if (found.lines.empty()) fail("{} and {} have no line in common", before, after);
  if (json_wanted)
    fmt::print("{}\n", as_json(found).dump());
  else
    print(found);
  if (const std::string was = machine_of(old_report), is = machine_of(new_report); was != is)
    fmt::print(stderr, "bench: these are different machines: {} and {}\n", was, is);
  return found.slower() || !found.failed.empty() ? 1 : 0;
}

}  // namespace pixeldp::bench
