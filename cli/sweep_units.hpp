#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainers/sweep.hpp"

namespace pixeldp::cli {

/// A training, a certification, an attack or a bound: what one process does at a time.
struct Unit {
  std::string name;  ///< of its folder within that of the sweep
  std::filesystem::path folder;
  std::string command;                 ///< train, certify, attack or bound
  std::vector<std::string> arguments;  ///< that make its result
  std::string settings;                ///< what it is a result of
  const Unit* after = nullptr;         ///< the training that it needs
  std::string network = name;          ///< the name of that
  std::string curve = name;            ///< the name but for the size

  /// What is printed. Whoever does the unit holds a lock on this file.
  std::filesystem::path log() const { return folder / (command + ".log"); }
  /// There once the unit is done, with its settings.
  std::filesystem::path mark() const { return folder / (command + ".done"); }
  /// What certify, attack or bound writes.
  std::filesystem::path result() const;
  /// Throws an Error where it was done with other settings.
  bool done() const;
};

/// What is to be done for some sweeps in one folder: the trainings, then all else.
struct Units {
  std::vector<Unit> all;
  std::vector<std::vector<const Unit*>> of_sweep;  ///< those of each but for trainings
};

/// Throws a usage error where two different ones would share a folder.
Units units_of(const std::vector<Sweep>& sweeps, const std::filesystem::path& output);

/// Throws a usage error for what the cell's command would refuse, before anything is trained.
void check_arguments(const SweepCell& cell);

}  // namespace pixeldp::cli
