#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/cuda/collectives.hpp"
#include "kernels/emulator/nccl.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/throws_error.hpp"

/// The emulator's stand-in for NCCL, with one rank, and what it refuses. Several ranks are
/// processes (tests/cli/device_ranks_test.cpp).
namespace pixeldp::kernels::emulated {
namespace {

constexpr ncclResult_t ok = ncclSuccess;

std::string last_error() { return ncclGetLastError(nullptr); }

TEST_CASE("the stand-in for NCCL refuses what NCCL would not understand") {
  ncclUniqueId id = {};
  REQUIRE(ncclGetUniqueId(&id) == ok);
  ncclComm_t comm = nullptr;
  CHECK(ncclCommInitRank(&comm, 1, id, 1) == ncclInvalidArgument);
  REQUIRE(ncclCommInitRank(&comm, 1, id, 0) == ok);
  const DeviceArray<float> x(std::vector<float>{1, 2, 3}), y(3);
  std::vector<float> host(3);
  const auto gather = [&](const float* from, float* to, std::size_t count) {
    return ncclAllGather(from, to, count, ncclFloat, comm, nullptr);
  };
  CHECK(gather(host.data(), y.data(), 3) == ncclInvalidArgument);
  CHECK(last_error() == "ncclAllGather: 3 floats that are no device memory");
  CHECK(gather(x.data(), y.data(), 4) == ncclInvalidArgument);
  CHECK(ncclSend(x.data(), 3, ncclFloat, 1, comm, nullptr) == ncclInvalidArgument);
  CHECK(last_error() == "ncclSend: there is no rank 1");
  CHECK(ncclGroupEnd() == ncclInvalidUsage);

  // A group is done when it ends, and not with what belongs elsewhere.
  cudaStream_t other = nullptr;
  REQUIRE(cudaStreamCreate(&other) == cudaSuccess);
  REQUIRE(ncclGroupStart() == ok);
  CHECK(gather(x.data(), y.data(), 3) == ncclInvalidUsage);
  CHECK(ncclSend(x.data(), 3, ncclFloat, 0, comm, nullptr) == ok);
  CHECK(ncclRecv(y.data(), 3, ncclFloat, 0, comm, other) == ncclInvalidUsage);
  CHECK(ncclRecv(y.data(), 3, ncclFloat, 0, comm, nullptr) == ok);
  CHECK(y.values() != x.values());
  CHECK(ncclGroupEnd() == ok);
  CHECK(y.values() == x.values());
  REQUIRE(cudaStreamDestroy(other) == cudaSuccess);
  CHECK(ncclCommDestroy(comm) == ok);
}

/// A rank of two without the other's process.
class OneOfTwo : public Communicator {
 public:
  explicit OneOfTwo(ncclUniqueId* id) : id_(id) {}
  int rank() const override { return 1; }
  int size() const override { return 2; }
  void barrier() override {}
  std::vector<int> meet(double) override { return {}; }
  void broadcast(void* data, std::size_t bytes, int) override {
    REQUIRE(bytes == sizeof *id_);
    std::memcpy(data, id_, bytes);
  }
  void all_gather(const void*, std::size_t, void*) override {}
  void all_to_all(const void*, std::size_t, void*) override {}
  std::unique_ptr<Exchange> begin_all_gather(const void*, std::size_t, void*) override {
    return nullptr;
  }
  std::unique_ptr<Exchange> begin_all_to_all(const void*, std::size_t, void*) override {
    return nullptr;
  }
  void begin_claims() override {}
  std::int64_t claim() override { return 0; }
  void end_claims() override {}
  void abort(int) override {}

 private:
  ncclUniqueId* id_;
};

TEST_CASE("a rank that is gone is an error of the others, which wait for it no longer") {
  ncclUniqueId id = {};
  REQUIRE(ncclGetUniqueId(&id) == ok);
  std::thread other([&] {
    ncclComm_t comm = nullptr;
    if (ncclCommInitRank(&comm, 2, id, 0) == ok) ncclCommAbort(comm);
  });
  OneOfTwo ranks(&id);
  const auto devices = device_communicators().join(Device{DeviceKind::emulated}, ranks);
  const DeviceArray<float> mine(2), all(4);
  const auto work = [&] {
    devices->all_gather(test_stream(), mine.data(), 2, all.data());
    test_stream().synchronize();
    devices->check();
  };
  CHECK_FAILS(work(), "another rank has given up; NCCL_DEBUG=WARN");
  CHECK_FAILS(devices->check(), "PIXELDP_COLLECTIVES=host");
  other.join();
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
