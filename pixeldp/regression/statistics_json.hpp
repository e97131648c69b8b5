#pragma once

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "pixeldp/regression/output_statistics.hpp"

namespace pixeldp {

// The keys that the draws of an image have in logs (docs/regression.md).

inline void add_statistics(nlohmann::ordered_json& json, const OutputStatistics& statistics) {
  const kernels::OutputTotals& totals = statistics.totals;
  json["draws"] = statistics.draws;
  json["positive"] = {totals.positive, totals.positive_squares};
  json["negative"] = {totals.negative, totals.negative_squares};
  json["counts"] = totals.counts;
}

inline OutputStatistics statistics_of(const nlohmann::ordered_json& json) {
  OutputStatistics statistics{.draws = json.at("draws")};
  kernels::OutputTotals& totals = statistics.totals;
  totals.positive = json.at("positive").at(0);
  totals.positive_squares = json.at("positive").at(1);
  totals.negative = json.at("negative").at(0);
  totals.negative_squares = json.at("negative").at(1);
  if (json.at("counts").size() != totals.counts.size())
    fail("{} counts, not {}", json.at("counts").size(), totals.counts.size());
  json.at("counts").get_to(totals.counts);
  return statistics;
}

}  // namespace pixeldp
