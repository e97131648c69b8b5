#include <algorithm>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/error.hpp"
#include "kernels/emulator/rank_channels.hpp"

// Compiled for the emulator, and by the tests as a library in NCCL's place for the interpreter of
// PTX, whose calls finish at once and whose device memory the host can read.
#ifdef PIXELDP_NCCL_STAND_IN
#include <nccl.h>
#else
#include "kernels/emulator/nccl.hpp"
#include "kernels/emulator/runtime_state.hpp"
namespace pixeldp::emulator {
#endif

namespace {
using Channels = pixeldp::emulator::RankChannels;
}

struct ncclComm {
  std::shared_ptr<Channels> channels;
};

namespace {

thread_local std::string last_nccl_error;

template <typename... Args>
ncclResult_t refuse(ncclResult_t result, fmt::format_string<Args...> format, Args&&... args) {
  last_nccl_error = fmt::format(format, std::forward<Args>(args)...);
  return result;
}

#ifdef PIXELDP_NCCL_STAND_IN
bool on_device(const void*, std::size_t) { return true; }
ncclResult_t give(cudaStream_t, std::function<void()> task) {
  task();
  return ncclSuccess;
}
#else
bool on_device(const void* memory, std::size_t bytes) {
  return device_memory().contains(memory, bytes);
}
ncclResult_t give(cudaStream_t stream, std::function<void()> task) {
  const cudaError_t error = enqueue(stream, "a collective operation", std::move(task));
  return error == cudaSuccess ? ncclSuccess
                              : refuse(ncclInvalidArgument, "{}", cudaGetErrorString(error));
}
#endif

struct Messages {
  std::vector<Channels::Outgoing> out;
  std::vector<Channels::Incoming> in;
};

/// What a thread has begun and not ended.
struct Group {
  int depth = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  Messages messages;
};
thread_local Group group;

/// Why a call cannot be done; ncclSuccess where it can. Each array has so many floats.
ncclResult_t check(const char* what, ncclComm_t comm, ncclDataType_t type, int peer,
                   std::initializer_list<std::pair<const void*, std::size_t>> arrays) {
  if (comm == nullptr) return refuse(ncclInvalidArgument, "{}: no communicator", what);
  if (type != ncclFloat) return refuse(ncclInvalidArgument, "{}: not of floats", what);
  if (peer < 0 || peer >= comm->channels->ranks())
    return refuse(ncclInvalidArgument, "{}: there is no rank {}", what, peer);
  for (const auto& [array, count] : arrays)
    if (!on_device(array, count * sizeof(float)))
      return refuse(ncclInvalidArgument, "{}: {} floats that are no device memory", what, count);
  return ncclSuccess;
}

ncclResult_t check_collective(const char* what, ncclComm_t comm, ncclDataType_t type,
                              std::initializer_list<std::pair<const void*, std::size_t>> arrays) {
  if (group.depth > 0) return refuse(ncclInvalidUsage, "{} within a group", what);
  return check(what, comm, type, 0, arrays);
}

ncclResult_t give_messages(ncclComm_t comm, cudaStream_t stream, Messages messages) {
  return give(stream, [channels = comm->channels, messages = std::move(messages)] {
    channels->exchange(messages.out, messages.in);  // else ncclCommGetAsyncError says so
  });
}

/// Adds a message to the group, which takes those of one communicator and stream.
ncclResult_t add(const char* what, ncclComm_t comm, cudaStream_t stream,
                 const std::function<void(Messages&)>& put) {
  if (group.depth == 0) {
    Messages messages;
    put(messages);
    return give_messages(comm, stream, std::move(messages));
  }
  const bool first = group.messages.out.empty() && group.messages.in.empty();
  if (!first && (group.comm != comm || group.stream != stream))
    return refuse(ncclInvalidUsage, "{}: of another communicator or stream than its group", what);
  group.comm = comm;
  group.stream = stream;
  put(group.messages);
  return ncclSuccess;
}

}  // namespace

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  const std::string name = Channels::new_name();
  std::copy_n(name.begin(), std::min(name.size(), sizeof id->internal - 1), id->internal);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  *comm = nullptr;
  if (rank < 0 || rank >= ranks)
    return refuse(ncclInvalidArgument, "rank {} of {} ranks", rank, ranks);
  constexpr double seconds = 60.0;
  try {
    *comm = new ncclComm{std::make_shared<Channels>(id.internal, ranks, rank, seconds)};
  } catch (const pixeldp::Error& error) {
    return refuse(ncclSystemError, "{}", error.what());
  }
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->channels->give_up();
  return ncclCommDestroy(comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  *error = ncclSuccess;
  if (comm->channels->given_up())
    *error = refuse(ncclRemoteError, "rank {}: another rank has given up", comm->channels->rank());
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclSystemError:
      return "system error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "in progress";
    default:
      return "unknown error";
  }
}

const char* ncclGetLastError(ncclComm_t) { return last_nccl_error.c_str(); }

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  if (const auto bad = check_collective("ncclAllGather", comm, type, {{from, count}});
      bad != ncclSuccess)
    return bad;
  const auto ranks = static_cast<std::size_t>(comm->channels->ranks());
  if (const auto bad = check("ncclAllGather", comm, type, 0, {{to, ranks * count}});
      bad != ncclSuccess)
    return bad;
  Messages messages;
  const std::size_t bytes = count * sizeof(float);
  for (std::size_t r = 0; r < ranks; ++r) {
    messages.out.push_back({static_cast<int>(r), from, bytes});
    messages.in.push_back({static_cast<int>(r), static_cast<std::byte*>(to) + r * bytes, bytes});
  }
  return give_messages(comm, stream, std::move(messages));
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  const char* const what = "ncclAllReduce";
  if (const auto bad = check_collective(what, comm, type, {{from, count}, {to, count}});
      bad != ncclSuccess)
    return bad;
  if (operation != ncclAvg) return refuse(ncclInvalidArgument, "{}: means only", what);
  return give(stream, [channels = comm->channels, from, to, count] {
    const auto ranks = static_cast<std::size_t>(channels->ranks());
    std::vector<float> all(ranks * count);
    Messages messages;
    const std::size_t bytes = count * sizeof(float);
    for (std::size_t r = 0; r < ranks; ++r) {
      messages.out.push_back({static_cast<int>(r), from, bytes});
      messages.in.push_back({static_cast<int>(r), all.data() + r * count, bytes});
    }
    if (!channels->exchange(messages.out, messages.in)) return;
    const float share = 1.0f / static_cast<float>(ranks);
    for (std::size_t i = 0; i < count; ++i) {
      float sum = 0.0f;
      for (std::size_t r = ranks; r-- > 0;) sum += share * all[r * count + i];
      std::memcpy(static_cast<float*>(to) + i, &sum, sizeof sum);
    }
  });
}

ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  if (const auto bad = check("ncclSend", comm, type, peer, {{from, count}}); bad != ncclSuccess)
    return bad;
  return add("ncclSend", comm, stream, [&](Messages& messages) {
    messages.out.push_back({peer, from, count * sizeof(float)});
  });
}

ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (const auto bad = check("ncclRecv", comm, type, peer, {{to, count}}); bad != ncclSuccess)
    return bad;
  return add("ncclRecv", comm, stream, [&](Messages& messages) {
    messages.in.push_back({peer, to, count * sizeof(float)});
  });
}

ncclResult_t ncclGroupStart() {
  ++group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return refuse(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--group.depth > 0) return ncclSuccess;
  Messages messages = std::exchange(group.messages, {});
  if (messages.out.empty() && messages.in.empty()) return ncclSuccess;
  return give_messages(group.comm, group.stream, std::move(messages));
}

#ifndef PIXELDP_NCCL_STAND_IN
}  // namespace pixeldp::emulator
#endif
