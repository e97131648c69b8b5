#include "engine/device.hpp"

#include <charconv>
#include <cstdlib>
#include <fstream>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp {

Device Device::parse(std::string_view text) {
  constexpr std::string_view gpu = "cuda";
  if (text == "cpu") return {DeviceKind::cpu, 0};
  if (text == "emulated") return {DeviceKind::emulated, 0};
  if (text == gpu) return {DeviceKind::cuda, 0};
  if (text.starts_with(gpu) && text.size() > gpu.size() + 1 && text[gpu.size()] == ':') {
    Device device{DeviceKind::cuda, 0};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + gpu.size() + 1, end, device.index);
    if (error == std::errc() && stop == end && device.index >= 0) return device;
  }
  fail_usage("unknown device '{}': 'cpu', 'cuda', 'cuda:N' (the N-th GPU, from 0) or 'emulated'",
             text);
}

std::string Device::name() const {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::cuda:
      return fmt::format("cuda:{}", index);
    case DeviceKind::emulated:
      return "emulated";
  }
  return "unknown";
}

Stream::Stream(Device device) : device_(device) {
  const Runtime& of_device = runtime(device.kind);
  of_device.use(device.index);
  native_ = std::shared_ptr<void>(of_device.create_stream(), [&of_device](void* stream) {
    if (stream) of_device.destroy_stream(stream);
  });
}

void Stream::synchronize() const { runtime(device_.kind).synchronize(native()); }

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures f;
    __builtin_cpu_init();
    f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    f.bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
    f.vnni = f.avx512 && __builtin_cpu_supports("avx512vnni");
    const char* const limit = std::getenv("PIXELDP_INSTRUCTIONS");
    if (!limit) return f;
    const std::string_view most = limit;
    if (most != "plain" && most != "avx2" && most != "avx512")
      fail_usage("PIXELDP_INSTRUCTIONS is '{}': 'plain', 'avx2' or 'avx512'", most);
    f.bf16 = f.vnni = false;
    f.avx512 = f.avx512 && most == "avx512";
    f.avx2 = f.avx2 && most != "plain";
    return f;
  }();
  return features;
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) {
      const auto colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

int thread_count() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

}  // namespace pixeldp
