#pragma once

#include <optional>
#include <string_view>

namespace pixeldp {

/// By whom this process was started, and as which of how many.
struct Launcher {
  std::string_view name = {};  ///< "Open MPI", "PMI", "srun" or "torchrun"; empty: by none of them
  int rank = 0, size = 1;
  int local_rank = 0;  ///< among those of the same machine
};

/// Read from the environment: OMPI_COMM_WORLD_*, PMI_*, what Slurm sets in the steps that srun
/// starts, or torchrun's RANK, WORLD_SIZE and LOCAL_RANK, in this order. Throws a usage Error for a
/// variable that is missing beside the others or no number in range.
Launcher launcher();

/// One of `count` equal jobs, from 0.
struct ArrayTask {
  int index = 0, count = 1;
};

/// The task of Slurm's job array that this process runs in; none outside of one. Throws a usage
/// Error where the array's numbers are not evenly spaced, for then none says which part is whose.
std::optional<ArrayTask> array_task();

/// Whether a scheduler started this process, and would start it again: as a rank or a task of an
/// array.
bool started_by_scheduler();

}  // namespace pixeldp
