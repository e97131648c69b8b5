#pragma once

#include <cstdint>
#include <filesystem>

namespace pixeldp::bench {

// How well certify's work is shared out: the program's own rules on modelled devices, of which
// every tenth works at half speed. Computed, not measured.

struct SharedWork {
  int devices = 1;
  std::int64_t images = 0;
  double seconds = 1.0;  ///< that an image takes at full speed
};

/// The time in which all devices would do the work if none ever waited, as a share of what ranks
/// take that claim images (pixeldp::Claims), each claim `claim` seconds.
double ranks_of_ideal(const SharedWork& work, double claim = 0.001);

/// What tasks of a job array meet with, in seconds.
struct ArrayConditions {
  double start = 10.0;           ///< from the start of a task to its first draw
  double between = 12 * 3600.0;  ///< from one loss of a device to the next, on average
  double window = 2.0;           ///< of draws that a loss takes along, at the most
  double requeue = 120.0;        ///< until the task that was lost can start again
  double away = 300.0;           ///< until the device takes tasks again
};

struct ArrayOutcome {
  double of_ideal = 0.0;  ///< of the time until the last task ends, as for ranks
  double in_use = 0.0;    ///< of the time for which tasks held devices: draws that were kept
  std::int64_t losses = 0;
};

/// What `certify --shard I/N` reaches as an array of N tasks, each of which Slurm starts on a
/// device that is free, and again when it was lost.
ArrayOutcome array_of_ideal(const SharedWork& work, int tasks,
                            const ArrayConditions& conditions = {}, std::uint64_t seed = 1);

/// Prints both for many numbers of devices; with a path, draws them on a page as well.
void print_sharing(const std::filesystem::path& page);

}  // namespace pixeldp::bench
