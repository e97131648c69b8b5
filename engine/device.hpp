#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace pixeldp {

enum class DeviceKind {
  cpu,
  cuda,     ///< an NVIDIA GPU
  emulated  ///< the GPU kernels' own source, executed on the processor: slow, for checking them
};
inline constexpr std::size_t device_kinds = 3;

/// Where operations run and buffers live.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;

  /// Reads "cpu", "cuda", "cuda:N" (the N-th GPU, from 0) or "emulated". Throws a usage error for
  /// anything else. Whether there is such a device shows when it is first used.
  static Device parse(std::string_view text);
  std::string name() const;
  bool operator==(const Device&) const = default;
};

/// An ordered queue of work on one device. On the CPU each operation has finished when its call
/// returns. Copies are the same stream. A stream serves one thread, the one that made it.
class Stream {
 public:
  /// Throws an Error where there is no such device, or it cannot be used, that says why.
  explicit Stream(Device device = {});
  Device device() const { return device_; }
  /// The cudaStream_t behind it, null on a CPU.
  void* native() const { return native_.get(); }
  /// Waits until all work given to the stream is done. Throws the Error of what failed.
  void synchronize() const;

 private:
  Device device_;
  std::shared_ptr<void> native_;
};

/// Instruction sets of this processor that the engine's kernels make use of.
struct CpuFeatures {
  bool avx2 = false;      ///< AVX2 and FMA
  bool avx_vnni = false;  ///< AVX-VNNI, the same of 256 bits that AVX-512 VNNI is of 512
  bool avx512 = false;    ///< AVX-512 F, BW, DQ and VL
  bool bf16 = false;      ///< AVX-512 BF16
  bool vnni = false;      ///< AVX-512 VNNI
  /// AMX for bytes beside VNNI, and the operating system gives this process its registers.
  bool amx = false;
};

/// Detected once; the same answer for the whole run. The environment variable PIXELDP_INSTRUCTIONS
/// sets the most that is used: plain (SSE2), avx2, avx-vnni (AVX2 with it), avx512 (without BF16,
/// VNNI and AMX), or avx512-vnni (with BF16 and VNNI, without AMX). Throws a usage error for any
/// other value of it.
const CpuFeatures& cpu_features();

/// Model name of the processor as the operating system gives it.
std::string cpu_model();

/// Threads that parallel regions use (OMP_NUM_THREADS, or the number of cores).
int thread_count();

}  // namespace pixeldp
