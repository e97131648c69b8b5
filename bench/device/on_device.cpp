#include "bench/device/on_device.hpp"

#include "bench/cuda/read.hpp"
#include "engine/error.hpp"
#include "kernels/arch.hpp"

namespace pixeldp::bench {
namespace {

[[noreturn]] void fail_without(const Device& device) {
  fail_usage("the device {} has no kernels to measure: use cuda, cuda:N or emulated, as built",
             device.name());
}

}  // namespace

/// Returns the function as it was compiled for the device.
#ifdef PIXELDP_WITH_CUDA
#define PIXELDP_ON_CUDA(device, ...) \
  if ((device).kind == DeviceKind::cuda) return cuda::__VA_ARGS__
#else
#define PIXELDP_ON_CUDA(device, ...) static_cast<void>(device)
#endif
#ifdef PIXELDP_WITH_EMULATOR
#define PIXELDP_ON_EMULATOR(device, ...) \
  if ((device).kind == DeviceKind::emulated) return emulated::__VA_ARGS__
#else
#define PIXELDP_ON_EMULATOR(device, ...) static_cast<void>(device)
#endif

namespace {

std::vector<KernelCase> all_kernel_cases(const Device& device, CaseSize size) {
  PIXELDP_ON_CUDA(device, kernel_cases(size));
  PIXELDP_ON_EMULATOR(device, kernel_cases(size));
  fail_without(device);
}

}  // namespace

std::vector<KernelCase> kernel_cases(const Device& device, CaseSize size) {
  std::vector<KernelCase> cases = all_kernel_cases(device, size);
  if (!kernels::arch_of(device).warpgroup_products)
    std::erase_if(cases, [](const KernelCase& one) { return one.warpgroups; });
  return cases;
}

KernelCase convolution_case(const Device& device, kernels::ConvDirection direction,
                            const kernels::Conv2dShape& shape) {
  PIXELDP_ON_CUDA(device, convolution_case(direction, shape));
  PIXELDP_ON_EMULATOR(device, convolution_case(direction, shape));
  fail_without(device);
}

void read_repeatedly(const Stream& stream, int blocks, const float* data, std::int64_t count,
                     int passes, float* sum) {
  PIXELDP_ON_CUDA(stream.device(),
                  read_repeatedly(stream.native(), blocks, data, count, passes, sum));
  PIXELDP_ON_EMULATOR(stream.device(),
                      read_repeatedly(stream.native(), blocks, data, count, passes, sum));
  fail_without(stream.device());
}

}  // namespace pixeldp::bench
