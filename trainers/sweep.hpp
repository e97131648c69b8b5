#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace pixeldp {

/// One network of a sweep.
struct SweepTraining {
  std::string name;  ///< of its folder
  std::filesystem::path configuration;
  std::vector<std::string> settings;     ///< "KEY=VALUE", over the configuration
  std::string resolved;                  ///< the configuration with all defaults, as YAML
  std::optional<std::string> directory;  ///< of the data set, where the configuration says
};

/// One way to certify each network of a sweep.
struct SweepCertification {
  std::string name;                    ///< of its folder; empty where there is only one way
  std::vector<std::string> arguments;  ///< of `pixeldp certify`: "--draws", "300"
};

/// Every combination of what is to be varied.
struct Sweep {
  std::string name;
  std::vector<SweepTraining> trainings;
  std::vector<SweepCertification> certifications;
};

/// Reads a sweep:
///
///   name: seeds
///   configurations: [../mnist/l0.1.yaml]     # one or more, relative to this file
///   settings:                                # may be left out
///     - {key: training.seed, values: [1, 2, 3]}
///   certify:                                 # may be left out
///     - {option: draws, values: [300]}
///
/// and every configuration that it names. Throws a usage Error that names file, line and key for a
/// mistake in any of them, and where two networks would have one name.
Sweep read_sweep(const std::filesystem::path& file);

}  // namespace pixeldp
