#include "kernels/emulator/sanitizer.hpp"

#include <cstdio>
#include <string>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda/launch.cuh"
#include "tests/emulator/device_array.hpp"

namespace pixeldp::kernels::emulated {
namespace {

enum class Wrong { global_read, shared_write, misaligned, local_write };

struct Four {
  float values[4];
};

__global__ void wrong_kernel(Wrong wrong, float* y, int index) {
  auto& shared = shared_storage<Four>();
  float local[4] = {};
  __syncthreads();  // so that the fibers have taken turns
  switch (wrong) {
    case Wrong::global_read:
      y[0] = y[index];
      break;
    case Wrong::shared_write:
      *(&shared.values[0] + index) = 1.0f;
      break;
    case Wrong::misaligned:
      *reinterpret_cast<float4*>(y + index - 3) = make_float4(1.0f, 2.0f, 3.0f, 4.0f);
      break;
    case Wrong::local_write:
      *(static_cast<volatile float*>(local) + index) = 1.0f;
      y[0] = local[0];
      break;
  }
}

/// What a process of its own says that runs the kernel with index 4.
std::string report_of(Wrong wrong) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    Settings alone = settings();
    alone.threads = 1;
    set_settings(alone);
    const DeviceArray<float> y(4);
    launch<wrong_kernel>(1, 64, sizeof(Four), nullptr, wrong, y.data(), 4);
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status != 0);
  return text;
}

TEST_CASE("sanitizers see into kernels") {
  if (!address_sanitizer) return;
  CHECK(report_of(Wrong::global_read).find("use-after-poison") != std::string::npos);
  CHECK(report_of(Wrong::shared_write).find("AddressSanitizer: use-after-poison") !=
        std::string::npos);
  CHECK(report_of(Wrong::misaligned).find("store to misaligned address") != std::string::npos);
  CHECK(report_of(Wrong::local_write).find("insufficient space") != std::string::npos);
}

}  // namespace
}  // namespace pixeldp::kernels::emulated
