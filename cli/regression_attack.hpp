#pragma once

#include "cli/run_folder.hpp"
#include "pixeldp/regression/output_attack.hpp"

namespace pixeldp::cli {

/// What 'attack' was asked to do with a regression network; texts are as they were given, empty:
/// not at all.
struct RegressionAttack {
  RunModel& run;
  const Dataset& dataset;
  AttackOptions options;
  Device device;
  BodyPrecision body;
  std::string images, certificates, output;
  std::int64_t batch = 0;
  bool resume = false, json = false;
};

void attack_regression(const RegressionAttack& attack);

}  // namespace pixeldp::cli
