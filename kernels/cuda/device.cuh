#pragma once

/// The only header that kernel files need for the language: CUDA itself under nvcc, the emulator
/// under an ordinary C++ compiler. Both versions of a kernel can live in one program, because each
/// is compiled into a namespace of its own:
///
///   namespace pixeldp::kernels::PIXELDP_DEVICE {  // cuda, or emulated
///
/// Kernels are launched by launch() (launch.cuh), keep shared memory in one struct
/// (shared_storage), and leave assembly to kernels/cuda/ptx/. tests/check_kernels.sh sees to it.

#ifdef __CUDACC__

#include <cuda_runtime.h>
#define PIXELDP_DEVICE cuda

#else

#include "kernels/emulator/emulator.hpp"
#define PIXELDP_DEVICE emulated
#define PIXELDP_EMULATED 1
namespace pixeldp::kernels::emulated {
using namespace pixeldp::emulator;
}

#endif

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Shared memory starts at a multiple of this.
inline constexpr int shared_alignment = 1024;

/// The block's shared memory, for which launch() must have been given sizeof(Storage) bytes. Its
/// contents are undefined at first.
template <class Storage>
__device__ __forceinline__ Storage& shared_storage() {
  static_assert(alignof(Storage) <= shared_alignment);
#ifdef PIXELDP_EMULATED
  Block& block = Block::current("shared_storage");
  block.check_shared(block.shared(), sizeof(Storage), alignof(Storage), "shared_storage");
  return *reinterpret_cast<Storage*>(block.shared());
#else
  extern __shared__ __align__(shared_alignment) unsigned char pixeldp_shared_memory[];
  return *reinterpret_cast<Storage*>(pixeldp_shared_memory);
#endif
}

/// Ordinary accesses to shared memory, where they are to count in the emulator's tally of bank
/// conflicts.
#ifdef PIXELDP_EMULATED
template <class T>
T load_shared(const T* address, const Location& where = Location::current()) {
  emulator::note_shared_access(address, sizeof(T), where);
  return *address;
}
template <class T>
void store_shared(T* address, T value, const Location& where = Location::current()) {
  emulator::note_shared_access(address, sizeof(T), where);
  *address = value;
}
#else
template <class T>
__device__ __forceinline__ T load_shared(const T* address) {
  return *address;
}
template <class T>
__device__ __forceinline__ void store_shared(T* address, T value) {
  *address = value;
}
#endif

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
