#include "engine/device.hpp"

#include <cstdlib>
#include <fstream>

#include <cpuid.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.hpp"
#include "engine/runtime.hpp"
#include "engine/text.hpp"

namespace pixeldp {

Device Device::parse(std::string_view text) {
  constexpr std::string_view gpu = "cuda";
  if (text == "cpu") return {DeviceKind::cpu, 0};
  if (text == "emulated") return {DeviceKind::emulated, 0};
  if (text == gpu) return {DeviceKind::cuda, 0};
  if (text.starts_with(gpu) && text.size() > gpu.size() + 1 && text[gpu.size()] == ':') {
    const auto index = parse_number<int>(text.substr(gpu.size() + 1));
    if (index && *index >= 0) return {DeviceKind::cuda, *index};
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
  fail("not a kind of device: {}", static_cast<int>(kind));
}

Stream::Stream(Device device) : device_(device) {
  const Runtime& of_device = runtime(device.kind);
  of_device.use(device.index);
  native_ = std::shared_ptr<void>(of_device.create_stream(), [&of_device](void* stream) {
    if (stream) of_device.destroy_stream(stream);
  });
}

void Stream::synchronize() const { runtime(device_.kind).synchronize(native()); }

namespace {

/// Whether there is AMX for bytes. Its registers are 8 KiB more for each thread to save, so Linux
/// wants to be asked for them, once for all threads, and may refuse. (GCC 12's
/// __builtin_cpu_supports knows AMX, clang 14's does not.)
bool obtains_amx() {
  constexpr unsigned tiles_and_int8 = 1u << 24 | 1u << 25;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles_and_int8) != tiles_and_int8)
    return false;
  constexpr long request_permission = 0x1023, tile_data = 18;  // of arch_prctl, since Linux 5.16
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

bool has_avx_vnni() {
  constexpr unsigned vnni = 1u << 4;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & vnni) != 0;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures f;
    __builtin_cpu_init();
    f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    f.avx_vnni = f.avx2 && has_avx_vnni();
    f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    f.bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
    f.vnni = f.avx512 && __builtin_cpu_supports("avx512vnni");
    const char* const limit = std::getenv("PIXELDP_INSTRUCTIONS");
    if (!limit) {
      f.amx = f.vnni && obtains_amx();
      return f;
    }
    const std::string_view most = limit;
    if (most == "avx512-vnni") return f;
    if (most != "plain" && most != "avx2" && most != "avx-vnni" && most != "avx512")
      fail_usage(
          "PIXELDP_INSTRUCTIONS is '{}': 'plain', 'avx2', 'avx-vnni', 'avx512' or 'avx512-vnni'",
          most);
    f.bf16 = f.vnni = false;
    f.avx_vnni = f.avx_vnni && most == "avx-vnni";
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
