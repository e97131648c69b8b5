#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/named.hpp"
#include "pixeldp/attacks/attacking.hpp"
#include "pixeldp/report/comparison.hpp"

namespace pixeldp::report {
namespace {

/// The share that attacks within a size leave.
std::optional<double> share_of(Measure measure, std::span<const AttackRecord> records,
                               double size) {
  switch (measure) {
    case Measure::certified_accuracy:
      break;
    case Measure::accuracy_under_attack:
      return accuracy_under_attack(records, size);
    case Measure::robust_precision:
      return robust_precision(records, size).share();
  }
  fail("attacks do not say {}", name(measure));
}

/// The sizes at which the shares of an attack that looks for the nearest success may change.
std::vector<double> sizes_of(std::span<const AttackRecord> records) {
  std::vector<double> sizes = {0.0};
  for (const AttackRecord& record : records) {
    if (record.distance) sizes.push_back(*record.distance);
    for (const auto& nearest : record.nearest)
      if (nearest) sizes.push_back(*nearest);
  }
  std::ranges::sort(sizes);
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

bool same_size(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(a)); }

}  // namespace

std::string_view name(Measure measure) {
  switch (measure) {
    case Measure::certified_accuracy:
      return "certified-accuracy";
    case Measure::accuracy_under_attack:
      return "accuracy-under-attack";
    case Measure::robust_precision:
      return "robust-precision";
  }
  fail("not a measure: {}", static_cast<int>(measure));
}

Measure parse_measure(std::string_view text) {
  return value_named(text, "measure", measures, name);
}

std::optional<double> Curve::at(double size) const {
  std::optional<double> share;
  for (const Point& point : points) {
    if (same_size(point.x, size)) return point.y;
    if (steps && point.x < size) share = point.y;
  }
  return share;
}

Curve attack_curve(const std::string& name, const std::string& network,
                   std::span<const AttackLogContents> logs) {
  const AttackOptions& options = logs.front().options;
  Curve curve{
      .name = name,
      .network = network,
      .measure = options.certified ? Measure::robust_precision : Measure::accuracy_under_attack,
      .norm = options.norm};
  AttackOptions of_any_size = options;
  of_any_size.size.reset();
  curve.how = attack_text(of_any_size);
  for (const AttackLogContents& log : logs) {
    if (log.lines.empty()) fail("{}: the attack log holds no image yet", log.source);
    const std::vector<AttackRecord> records = log.records();
    curve.images = records.size();
    const auto add = [&](double size) {
      if (const auto share = share_of(curve.measure, records, size))
        curve.points.push_back({size, *share});
    };
    if (!log.options.size && logs.size() == 1) {
      curve.steps = true;
      for (const double size : sizes_of(records)) add(size);
      continue;
    }
    if (!log.options.size)
      fail("{}: attacks without a size do not belong on one curve with others", log.source);
    if (curve.points.empty()) add(0.0);
    add(*log.options.size);
  }
  std::ranges::sort(curve.points, {}, &Point::x);
  return curve;
}

Curve bound_curve(const std::string& name, const std::string& network,
                  std::span<const std::filesystem::path> files) {
  Curve curve{.name = name, .network = network, .how = "proved by the dual bound"};
  for (const std::filesystem::path& file : files) {
    const nlohmann::json json = nlohmann::json::parse(as_text(read_file(file)), nullptr, false);
    try {
      curve.norm = parse_attack_norm(json.at("attack_norm").get<std::string>());
      curve.images = json.at("images").get<std::size_t>();
      if (curve.points.empty()) curve.points.push_back({0.0, json.at("accuracy").get<double>()});
      for (const auto& point : json.at("certified_accuracy"))
        curve.points.push_back({point.at("size").get<double>(), point.at("share").get<double>()});
    } catch (const nlohmann::json::exception& error) {
      fail("{}: not what 'pixeldp bound --output' writes: {}", file.string(), error.what());
    }
  }
  std::ranges::sort(curve.points, {}, &Point::x);
  return curve;
}

}  // namespace pixeldp::report
