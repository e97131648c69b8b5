#include "engine/launcher.hpp"

#include <cstdlib>
#include <limits>

#include "engine/error.hpp"
#include "engine/text.hpp"

namespace pixeldp {
namespace {

std::optional<int> number(const char* variable, int least, int most) {
  const char* const text = std::getenv(variable);
  if (!text) return std::nullopt;
  const auto value = parse_number<int>(text);
  if (!value || *value < least || *value > most)
    fail_usage("the environment variable {} is '{}', not a number from {} to {}", variable, text,
               least, most);
  return value;
}

constexpr int most = std::numeric_limits<int>::max();

struct Variables {
  std::string_view name;
  const char *rank, *size, *local_rank;
};

// SLURM_PROCID is set in a batch script too, beside the SLURM_NTASKS of steps to come: what srun
// started has SLURM_STEP_NUM_TASKS.
constexpr Variables launchers[] = {
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"}};

}  // namespace

Launcher launcher() {
  for (const auto& [name, rank, size, local_rank] : launchers) {
    const std::optional<int> ranks = number(size, 1, most);
    if (!ranks) continue;
    const std::optional<int> mine = number(rank, 0, *ranks - 1);
    if (!mine) fail_usage("the environment variable {} is set, but not {}", size, rank);
    return {.name = name,
            .rank = *mine,
            .size = *ranks,
            .local_rank = number(local_rank, 0, *ranks - 1).value_or(0)};
  }
  return {};
}

std::optional<ArrayTask> array_task() {
  const std::optional<int> id = number("SLURM_ARRAY_TASK_ID", 0, most);
  if (!id) return std::nullopt;
  const int count = number("SLURM_ARRAY_TASK_COUNT", 1, most).value_or(0);
  const int first = number("SLURM_ARRAY_TASK_MIN", 0, *id).value_or(0);
  const int step = number("SLURM_ARRAY_TASK_STEP", 1, most).value_or(1);
  const int last = number("SLURM_ARRAY_TASK_MAX", *id, most).value_or(*id);
  const int index = (*id - first) / step;
  if (index >= count || (*id - first) % step != 0 || (last - first) / step >= count)
    fail_usage(
        "task {} of an array of {} from {} to {}: the tasks must be numbered evenly, as in "
        "--array=0-{}",
        *id, count, first, last, count > 0 ? count - 1 : 0);
  return ArrayTask{index, count};
}

bool started_by_scheduler() {
  return !launcher().name.empty() || std::getenv("SLURM_ARRAY_TASK_ID") != nullptr;
}

}  // namespace pixeldp
