#include "engine/error.hpp"
#include "kernels/cuda/runtime.hpp"

namespace pixeldp::kernels {

std::string why_no_gpu(int driver, int runtime, std::string_view reason) {
  const auto text = [](int version) {
    return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  };
  if (driver == 0) return "this machine has no NVIDIA driver: install it, or use the device 'cpu'";
  if (driver < runtime)
    return fmt::format(
        "the NVIDIA driver is too old: it supports CUDA up to {}, and this program needs {}; "
        "update the driver, or use the device 'cpu'",
        text(driver), text(runtime));
  return fmt::format("there is no GPU to use ({}); use the device 'cpu'", reason);
}

void check_gpu(int index, int count, std::string_view name, int architecture) {
  if (index >= count)
    fail_usage("there is no device cuda:{}: this machine has {} GPU{}, numbered from 0", index,
               count, count == 1 ? "" : "s");
  if (architecture < oldest_architecture)
    fail(
        "cuda:{} ({}) has compute capability {}.{}, and the kernels need {}.{} (Ampere) or higher; "
        "use another GPU (cuda:N), or the device 'cpu'",
        index, name, architecture / 10, architecture % 10, oldest_architecture / 10,
        oldest_architecture % 10);
}

}  // namespace pixeldp::kernels
