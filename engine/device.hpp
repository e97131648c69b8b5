#pragma once

#include <string>
#include <string_view>

namespace pixeldp {

enum class DeviceKind {
  cpu,
  cuda,     ///< an NVIDIA GPU
  emulated  ///< the GPU kernels' own source, executed on the processor: slow, for checking them
};

/// Where operations run and buffers live.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;

  /// Reads "cpu" or "emulated". Throws a usage error that lists what this build offers for anything
  /// else.
  static Device parse(std::string_view text);
  std::string name() const;
  bool operator==(const Device&) const = default;
};

/// An ordered queue of work on one device (kernels/stream.hpp waits for it). On the CPU each
/// operation has finished when its call returns.
class Stream {
 public:
  explicit Stream(Device device = {}) : device_(device) {}
  Device device() const { return device_; }
  /// The cudaStream_t behind it, null on a CPU.
  void* native() const { return nullptr; }

 private:
  Device device_;
};

/// Instruction sets of this processor that the engine's kernels make use of.
struct CpuFeatures {
  bool avx2 = false;    ///< AVX2 and FMA
  bool avx512 = false;  ///< AVX-512 F, BW, DQ and VL
  bool bf16 = false;    ///< AVX-512 BF16
  bool vnni = false;    ///< AVX-512 VNNI
};

/// Detected once; the same answer for the whole run.
const CpuFeatures& cpu_features();

/// Model name of the processor as the operating system gives it.
std::string cpu_model();

/// Threads that parallel regions use (OMP_NUM_THREADS, or the number of cores).
int thread_count();

}  // namespace pixeldp
