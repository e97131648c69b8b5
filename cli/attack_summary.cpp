#include "cli/attack_summary.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pixeldp/attacks/attacking.hpp"

namespace pixeldp::cli {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Json attack_json(std::span<const AttackRecord> records, const AttackOptions& o) {
  Json json = {{"attack", name(o.kind)},
               {"norm", name(o.norm)},
               {"size", o.size ? Json(*o.size) : Json()},
               {"images", records.size()},
               {"accuracy", accuracy(records)},
               {"accuracy_under_attack", accuracy_under_attack(records, o.size)}};
  std::vector<double> distances;
  for (const AttackRecord& record : records)
    if (record.distance && record.restart >= 0) distances.push_back(*record.distance);
  std::ranges::sort(distances);
  json["successes"] = distances.size();
  json["median_distance"] = distances.empty() ? Json() : Json(distances[distances.size() / 2]);
  if (o.certified) {
    const RobustPrecision precision = robust_precision(records, o.size);
    const auto share = precision.share();
    json["certified_at"] = *o.certified;
    json["right_and_certified"] = precision.right;
    json["wrong_and_certified"] = precision.wrong;
    json["robust_precision"] = share ? Json(*share) : Json();
  }
  return json;
}

void print_attack(const Json& json, const AttackOptions& o, const std::string& where) {
  const auto percent = [&](const char* key) { return 100.0 * json.at(key).get<double>(); };
  fmt::print("images            {} ({})\n", json["images"].get<std::size_t>(), where);
  fmt::print("attack            {}\n", attack_text(o));
  fmt::print("accuracy          {:.2f} %\n", percent("accuracy"));
  fmt::print("under attack      {:.2f} %\n", percent("accuracy_under_attack"));
  if (!json["median_distance"].is_null()) {
    fmt::print("successes         {}, half of them within {:.4g}\n",
               json["successes"].get<std::size_t>(), json["median_distance"].get<double>());
  }
  if (o.certified && !json["robust_precision"].is_null()) {
    fmt::print("robust precision  {:.2f} %: {} right and {} wrong among what is certified at {}\n",
               percent("robust_precision"), json["right_and_certified"].get<std::size_t>(),
               json["wrong_and_certified"].get<std::size_t>(), *o.certified);
  }
}

}  // namespace pixeldp::cli
