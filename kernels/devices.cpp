#include "kernels/cuda/collectives.hpp"
#include "kernels/cuda/libraries/training.hpp"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/runtime.hpp"

// The devices beside the processor that the program was built with. All of this file happens when
// the program starts: the library it makes is linked as a whole.
namespace pixeldp::kernels {

[[maybe_unused]] const bool devices_are_known = [] {
#ifdef PIXELDP_WITH_CUDA
  register_runtime(DeviceKind::cuda, cuda::device_runtime());
  register_operations(DeviceKind::cuda, cuda::libraries::operations());
  register_device_communicators(DeviceKind::cuda, cuda::device_communicators());
#endif
#ifdef PIXELDP_WITH_EMULATOR
  register_runtime(DeviceKind::emulated, emulated::device_runtime());
  register_operations(DeviceKind::emulated, emulated::operations());
  register_device_communicators(DeviceKind::emulated, emulated::device_communicators());
#endif
  return true;
}();

}  // namespace pixeldp::kernels
