/// Collective operations of ranks on their devices, by NCCL.
///
/// An all-to-all is a group of sends and receives, one of each with every rank, this one included:
/// NCCL has had a call for it only since 2.28. Sums are left to the caller, but for
/// all_reduce_mean: NCCL chooses an order by size, topology and version.
///
/// A collective waits on the device for its peers, and one whose peer is gone would wait for ever,
/// with the thread that waits for the stream. So a thread of its own asks NCCL ten times a second
/// whether something failed, and then ends what waits (ncclCommAbort).
///
/// What this file asks of NCCL is tried with the emulator's stand-in, also as nvcc compiled it. Of
/// NCCL itself (2.28) its functions were found, and an id was made; without a GPU it joins nobody.
/// It has never run with NCCL on a GPU.
///
/// The library is not linked: a machine without it runs the same program (missing()).
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/collectives.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/runtime.hpp"

#ifdef PIXELDP_EMULATED
#include <unistd.h>

#include "kernels/emulator/nccl.hpp"
#elif __has_include(<nccl.h>)
#include <nccl.h>

#include "kernels/cuda/libraries/library.hpp"
#endif

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

#if defined(PIXELDP_EMULATED) || defined(NCCL_MAJOR)

/// The functions that are called.
#define PIXELDP_NCCL_FUNCTIONS(X) \
  X(ncclGetUniqueId)              \
  X(ncclCommInitRank)             \
  X(ncclCommDestroy)              \
  X(ncclCommAbort)                \
  X(ncclCommGetAsyncError)        \
  X(ncclGetErrorString)           \
  X(ncclGetLastError)             \
  X(ncclAllGather)                \
  X(ncclAllReduce)                \
  X(ncclSend)                     \
  X(ncclRecv)                     \
  X(ncclGroupStart)               \
  X(ncclGroupEnd)

struct Functions {
#ifdef PIXELDP_EMULATED
#define PIXELDP_NCCL_MEMBER(name) decltype(&emulator::name) name = emulator::name;
  PIXELDP_NCCL_FUNCTIONS(PIXELDP_NCCL_MEMBER)
  bool complete = true;
#else
  Library library = Library("libnccl.so." PIXELDP_TEXT(NCCL_MAJOR), "ncclGetUniqueId");
  PIXELDP_LIBRARY_FUNCTIONS(PIXELDP_NCCL_FUNCTIONS)
#endif
};

const Functions& nccl() {
  static const Functions functions;
  return functions;
}

class NcclCommunicator : public DeviceCommunicator {
 public:
  NcclCommunicator(Device device, Communicator& ranks)
      : ranks_(ranks.size()), exceptions_(std::uncaught_exceptions()) {
    ncclUniqueId id = {};
    if (ranks.first()) require(nccl().ncclGetUniqueId(&id), "making an id");
    ranks.broadcast(&id, sizeof id, 0);
    device_runtime().use(device.index);
    require(nccl().ncclCommInitRank(&comm_, ranks.size(), id, ranks.rank()),
            "joining the ranks' devices");
    watcher_ = std::thread([this] { watch(); });
  }

  ~NcclCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    closing_.notify_all();
    watcher_.join();
    if (comm_ == nullptr) return;
    // After a failure, the others may never come to what this rank's stream still waits for.
    if (std::uncaught_exceptions() > exceptions_)
      nccl().ncclCommAbort(comm_);
    else
      nccl().ncclCommDestroy(comm_);
  }

  void all_gather(const Stream& stream, const float* mine, std::int64_t count,
                  float* all) override {
    give("a gather", [&] {
      return nccl().ncclAllGather(mine, all, size(count), ncclFloat, comm_, native(stream));
    });
  }

  void all_to_all(const Stream& stream, const float* mine, std::int64_t count,
                  float* theirs) override {
    give("an exchange", [&] {
      ncclResult_t result = nccl().ncclGroupStart();
      if (result != ncclSuccess) return result;
      for (int r = 0; r < ranks_ && result == ncclSuccess; ++r) {
        result =
            nccl().ncclSend(mine + r * count, size(count), ncclFloat, r, comm_, native(stream));
        if (result == ncclSuccess)
          result =
              nccl().ncclRecv(theirs + r * count, size(count), ncclFloat, r, comm_, native(stream));
      }
      const ncclResult_t ended = nccl().ncclGroupEnd();
      return result == ncclSuccess ? ended : result;
    });
  }

  void all_reduce_mean(const Stream& stream, float* values, std::int64_t count) override {
    give("a sum", [&] {
      return nccl().ncclAllReduce(values, values, size(count), ncclFloat, ncclAvg, comm_,
                                  native(stream));
    });
  }

  void check() override {
    const std::lock_guard lock(mutex_);
    if (!healthy()) fail_asynchronously();
  }

 private:
  static std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

  void require(ncclResult_t result, const char* what) const {
    if (result != ncclSuccess && result != ncclInProgress)
      nccl_failed(what, nccl().ncclGetErrorString(result), nccl().ncclGetLastError(comm_));
  }

  [[noreturn]] void fail_asynchronously() const {
    nccl_failed("what the devices were given", failure_, detail_);
  }

  template <class Call>
  void give(const char* what, Call call) {
    const std::lock_guard lock(mutex_);
    if (!healthy()) fail_asynchronously();
    require(call(), what);
  }

  /// Whether nothing has failed; else, nothing waits on the device any more.
  bool healthy() {
    if (comm_ == nullptr) return false;
    ncclResult_t error = ncclSuccess;
    const ncclResult_t asked = nccl().ncclCommGetAsyncError(comm_, &error);
    if (asked != ncclSuccess) error = asked;
    if (error == ncclSuccess || error == ncclInProgress) return true;
    failure_ = nccl().ncclGetErrorString(error);
    detail_ = nccl().ncclGetLastError(comm_);
    nccl().ncclCommAbort(comm_);
    comm_ = nullptr;
    return false;
  }

  void watch() {
    constexpr std::chrono::milliseconds interval(100);
    std::unique_lock lock(mutex_);
    while (!closing_.wait_for(lock, interval, [this] { return closed_; }) && healthy()) {
    }
  }

  const int ranks_, exceptions_;
  std::mutex mutex_;  // of all below
  ncclComm_t comm_ = nullptr;
  std::string failure_, detail_;
  std::condition_variable closing_;
  bool closed_ = false;
  std::thread watcher_;
};

class Communicators : public DeviceCommunicators {
 public:
  std::string missing() const override {
    if (nccl().complete) return "";
    return "NCCL's library was not found, or is older than 2.13: install it (libnccl2), or name "
           "its folder in LD_LIBRARY_PATH or PIXELDP_LIBRARIES";
  }

  std::string identity(Device device) const override {
#ifdef PIXELDP_EMULATED  // of which each process has its own
    return "process " + std::to_string(getpid()) + " device " + std::to_string(device.index);
#else
    cudaDeviceProp p;
    check_call(cudaGetDeviceProperties(&p, device.index), "asking a device for its properties");
    return "PCI " + std::to_string(p.pciDomainID) + ":" + std::to_string(p.pciBusID) + ":" +
           std::to_string(p.pciDeviceID);
#endif
  }

  std::unique_ptr<DeviceCommunicator> join(Device device, Communicator& ranks) const override {
    return std::make_unique<NcclCommunicator>(device, ranks);
  }
};

#else  // nothing to call it by

class Communicators : public DeviceCommunicators {
 public:
  std::string missing() const override {
    return "this program was built without NCCL's header: install libnccl-dev, then build it anew";
  }
  std::string identity(Device) const override { return ""; }
  std::unique_ptr<DeviceCommunicator> join(Device, Communicator&) const override {
    nccl_failed("joining the ranks' devices", missing(), "");
  }
};

#endif

}  // namespace

const DeviceCommunicators& device_communicators() {
  static const Communicators communicators;
  return communicators;
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
