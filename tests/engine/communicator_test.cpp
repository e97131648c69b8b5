#include "engine/communicator.hpp"

#include <initializer_list>
#include <optional>

#include <doctest/doctest.h>
#include <stdlib.h>

#include "engine/error.hpp"
#include "engine/launcher.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

/// Variables of the environment, until the end of a scope.
class Variables {
 public:
  Variables(std::initializer_list<std::pair<const char*, const char*>> set) : set_(set) {
    for (const auto& [name, value] : set_) ::setenv(name, value, 1);
  }
  ~Variables() {
    for (const auto& [name, value] : set_) ::unsetenv(name);
  }

 private:
  std::vector<std::pair<const char*, const char*>> set_;
};

}  // namespace

TEST_CASE("who we are comes from the launcher") {
  CHECK(launcher().name.empty());
  CHECK(launcher().size == 1);
  CHECK_FALSE(started_by_scheduler());
  {
    const Variables set = {{"RANK", "3"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}};
    CHECK(launcher().name == "torchrun");
    CHECK(launcher().rank == 3);
    CHECK(launcher().size == 8);
    CHECK(launcher().local_rank == 1);
    CHECK(started_by_scheduler());
    const Variables inner = {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}};
    CHECK(launcher().name == "Open MPI");
    CHECK(launcher().size == 2);
  }
  {
    // A batch script of Slurm is no rank, though it has a number.
    const Variables set = {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}};
    CHECK(launcher().size == 1);
    const Variables step = {{"SLURM_STEP_NUM_TASKS", "4"}};
    CHECK(launcher().name == "srun");
    CHECK(launcher().size == 4);
  }
  for (const char* rank : {"2", "-1", "x", ""}) {
    CAPTURE(rank);
    const Variables set = {{"PMI_RANK", rank}, {"PMI_SIZE", "2"}};
    CHECK_THROWS_AS(launcher(), Error);
  }
  const Variables set = {{"PMI_SIZE", "2"}};
  CHECK_THROWS_AS(launcher(), Error);
}

TEST_CASE("a task of an array knows its share, if the tasks are evenly numbered") {
  CHECK_FALSE(array_task().has_value());
  const auto share = [](const char* id, const char* count, const char* min, const char* max,
                        const char* step) {
    const Variables set = {{"SLURM_ARRAY_TASK_ID", id},
                           {"SLURM_ARRAY_TASK_COUNT", count},
                           {"SLURM_ARRAY_TASK_MIN", min},
                           {"SLURM_ARRAY_TASK_MAX", max},
                           {"SLURM_ARRAY_TASK_STEP", step}};
    const std::optional<ArrayTask> task = array_task();
    REQUIRE(task.has_value());
    CHECK(started_by_scheduler());
    return std::pair(task->index, task->count);
  };
  CHECK(share("0", "4", "0", "3", "1") == std::pair(0, 4));
  CHECK(share("3", "4", "0", "3", "1") == std::pair(3, 4));
  CHECK(share("1", "8", "1", "8", "1") == std::pair(0, 8));
  CHECK(share("15", "3", "5", "15", "5") == std::pair(2, 3));
  CHECK_THROWS_AS(share("7", "3", "1", "7", "1"), Error);  // --array=1,3,7
  CHECK_THROWS_AS(share("3", "3", "1", "7", "1"), Error);
}

TEST_CASE("one process alone is a communicator of one") {
  Communicator& alone = Communicator::alone();
  CHECK(alone.first());
  CHECK(alone.size() == 1);
  CHECK(&join_ranks() == &alone);
  alone.begin_claims();
  CHECK(alone.claim() == 0);
  CHECK(alone.claim() == 1);
  alone.end_claims();
  CHECK(alone.claim() >= Communicator::no_more);
  alone.begin_claims();
  CHECK(alone.claim() == 0);
  std::vector<std::uint64_t> values = {1, 2};
  alone.all_reduce(values);
  CHECK(values == std::vector<std::uint64_t>{1, 2});
  CHECK(alone.gather("text") == std::vector<std::string>{"text"});
  CHECK(alone.any(true));
  CHECK_FALSE(alone.any(false));
  CHECK(this_rank().empty());
}
