#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

/// A CUDA runtime that takes note of launches and does nothing else: a program linked with it in
/// front of the real one tells which kernels an operation launches, with how many blocks, threads
/// and bytes of shared memory, on a machine without a GPU. Memory is made of addresses alone. Where
/// another runtime is preloaded, that one is at work, and nothing is noted.
namespace pixeldp::bench {

struct RecordedLaunch {
  std::string kernel;  ///< its symbol
  std::array<unsigned, 3> grid, block;
  std::size_t shared_bytes;  ///< dynamic
};

/// The launches since the last call.
std::vector<RecordedLaunch> take_launches();

/// Whether launches are noted.
bool recording();

}  // namespace pixeldp::bench
