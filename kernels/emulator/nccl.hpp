#pragma once

#include <cstddef>

#include "kernels/emulator/runtime.hpp"

/// The part of NCCL that the engine needs, under NCCL's own names, for processes of one machine
/// that each have an emulated device: what streams are given travels through shared memory
/// (rank_channels.hpp) when the stream comes to it.
///
/// Stricter than NCCL: groups hold sends and receives of one communicator and one stream only, and
/// messages of another size than expected are an Error, thrown where a kernel's would be. The mean
/// is summed from the last rank to the first, each value times 1 / ranks: another order than any
/// that was asked for.
namespace pixeldp::emulator {

inline constexpr int NCCL_UNIQUE_ID_BYTES = 128;
struct ncclUniqueId {
  char internal[NCCL_UNIQUE_ID_BYTES];
};
struct ncclComm;
using ncclComm_t = ncclComm*;

enum ncclResult_t {
  ncclSuccess = 0,
  ncclSystemError = 2,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
  ncclInProgress = 7,
};
enum ncclDataType_t { ncclFloat = 7 };
enum ncclRedOp_t { ncclAvg = 4 };

ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
/// Waits a minute for all ranks.
ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank);
/// Work that was given is still done.
ncclResult_t ncclCommDestroy(ncclComm_t comm);
/// Work that was given, by any rank, ends; the other ranks find ncclRemoteError.
ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error);
const char* ncclGetErrorString(ncclResult_t result);
/// What exactly this thread's last refused call was refused for.
const char* ncclGetLastError(ncclComm_t comm);

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();

}  // namespace pixeldp::emulator
