#include "engine/device_communicator.hpp"

#include <array>
#include <string>

#include <doctest/doctest.h>
#include <stdlib.h>

#include "engine/error.hpp"
#include "tests/thread_ranks.hpp"

using namespace pixeldp;

namespace {

class NoCollectives : public DeviceCommunicator {
 public:
  void all_gather(const Stream&, const float*, std::int64_t, float*) override {}
  void all_to_all(const Stream&, const float*, std::int64_t, float*) override {}
  void all_reduce_mean(const Stream&, float*, std::int64_t) override {}
  void check() override {}
};

/// Of devices that number `missing_at` does not have, and of which `shared_from` on are one.
struct MadeCollectives : DeviceCommunicators {
  int missing_at = -1, shared_from = 100;
  static inline thread_local int of_rank = 0;

  std::string missing() const override { return of_rank == missing_at ? "no library" : ""; }
  std::string identity(Device) const override {
    return std::to_string(std::min(of_rank, shared_from));
  }
  std::unique_ptr<DeviceCommunicator> join(Device, Communicator&) const override {
    return std::make_unique<NoCollectives>();
  }
};

MadeCollectives made_collectives;

/// What each of three ranks has: "yes", "no", or an error.
std::array<std::string, 3> joined_by_three(bool needed, DeviceKind kind = DeviceKind::cuda) {
  std::array<std::string, 3> found;
  tests::ThreadRanks::run(3, [&](Communicator& ranks) {
    MadeCollectives::of_rank = ranks.rank();
    std::string& mine = found[static_cast<std::size_t>(ranks.rank())];
    try {
      mine = join_devices(Device{kind}, ranks, needed) ? "yes" : "no";
    } catch (const Error& error) {
      mine = error.what();
    }
  });
  return found;
}

void check_everywhere(const std::array<std::string, 3>& found, const std::string& expected) {
  for (const std::string& mine : found) CHECK(mine == expected);
}
void check_refused_everywhere(const std::array<std::string, 3>& found, const std::string& part) {
  for (const std::string& mine : found) CHECK_MESSAGE(mine.find(part) != std::string::npos, mine);
}

}  // namespace

TEST_CASE("devices of ranks have collectives where all can, or none has") {
  check_everywhere(joined_by_three(false), "no");  // none are known
  check_refused_everywhere(joined_by_three(true),
                           "rank 0 (on this machine): this program was built without");
  register_device_communicators(DeviceKind::cuda, made_collectives);
  check_everywhere(joined_by_three(true), "yes");
  check_everywhere(joined_by_three(true, DeviceKind::cpu), "no");

  made_collectives = {};
  made_collectives.missing_at = 2;
  check_everywhere(joined_by_three(false), "no");
  check_refused_everywhere(joined_by_three(true), "rank 2 (on this machine): no library");

  made_collectives = {};
  made_collectives.shared_from = 1;
  check_everywhere(joined_by_three(false), "no");
  check_refused_everywhere(
      joined_by_three(true),
      "rank 1 (on this machine) and rank 2 (on this machine) share one device: start one");

  made_collectives = {};
  ::setenv("PIXELDP_COLLECTIVES", "host", 1);
  check_everywhere(joined_by_three(false), "no");
  check_refused_everywhere(joined_by_three(true), "PIXELDP_COLLECTIVES is 'host'");
  ::setenv("PIXELDP_COLLECTIVES", "mpi", 1);
  check_refused_everywhere(joined_by_three(false),
                           "PIXELDP_COLLECTIVES is 'mpi': 'device' or 'host'");
  ::setenv("PIXELDP_COLLECTIVES", "device", 1);
  check_everywhere(joined_by_three(false), "yes");
  ::unsetenv("PIXELDP_COLLECTIVES");
}
