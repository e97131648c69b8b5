#include "engine/device.hpp"

#include <fstream>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "engine/error.hpp"

namespace pixeldp {

Device Device::parse(std::string_view text) {
  if (text == "cpu") return {DeviceKind::cpu, 0};
  if (text == "emulated") return {DeviceKind::emulated, 0};
  fail_usage("unknown device '{}': this build offers 'cpu' and 'emulated'", text);
}

std::string Device::name() const { return kind == DeviceKind::cpu ? "cpu" : "emulated"; }

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures f;
    __builtin_cpu_init();
    f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    f.bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
    f.vnni = f.avx512 && __builtin_cpu_supports("avx512vnni");
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
