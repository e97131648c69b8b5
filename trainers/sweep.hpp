#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pixeldp/report/comparison.hpp"

namespace pixeldp {

/// One network of a sweep.
struct SweepTraining {
  std::string name;  ///< of its folder
  std::filesystem::path configuration;
  std::vector<std::string> settings;     ///< "KEY=VALUE", over the configuration
  std::string resolved;                  ///< the configuration with all defaults, as YAML
  std::optional<std::string> directory;  ///< of the data set, where the configuration says
};

/// One way to certify, attack or bound a network of a sweep.
struct SweepCell {
  std::string command;                 ///< "certify", "attack" or "bound"
  std::string name;                    ///< of its folder; empty for the network's own
  std::string curve;                   ///< the name but for the size: what lies on one curve
  std::vector<std::string> arguments;  ///< of the command: "--draws", "300"
};

/// Every combination of networks and of what is done with each.
struct SweepGrid {
  std::vector<SweepTraining> trainings;
  std::vector<SweepCell> cells;
};

struct Sweep {
  std::string name;
  std::string title;  ///< of its comparison in the report; empty: none was asked for
  std::vector<SweepGrid> grids;
  std::vector<report::Published> published;
};

/// Reads a sweep:
///
///   name: seeds
///   configurations: [../mnist/l0.1.yaml]     # one or more, relative to this file
///   settings:                                # may be left out
///     - {key: training.seed, values: [1, 2, 3]}
///   certify:                                 # options of 'certify'
///     - {option: draws, values: [300]}
///   attack:                                  # of 'attack'; may be left out
///     - {option: norm, values: [inf]}
///     - {option: size, values: [0.05, 0.1]}
///   bound:                                   # of 'bound'; may be left out
///     - {option: size, values: [0.1]}
///   title: Seeds                             # of curves and tables in the report; may be left
///   out, published:                               # and so may values to show beside them
///     - {network: "MNIST, L = 0.1", of: [mnist-l0.1], measure: certified-accuracy, norm: "2", at:
///     0,
///        value: 0.991}
///
/// and every configuration that it names. Without any of certify, attack and bound, networks are
/// certified by the usual options. In place of configurations, settings and these three, a sweep
/// may have `small` and `full`, each a list of mappings of them, of which `size` chooses one; a
/// mapping may have a `name`, which then comes first in the names of its folders.
///
/// Throws a usage Error that names file, line and key for a mistake in any of them, where two
/// networks of a grid would have one name, and for a size that the file does not have.
Sweep read_sweep(const std::filesystem::path& file, const std::string& size = "");

}  // namespace pixeldp
