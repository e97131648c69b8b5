#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/cuda/kernel_cases.hpp"
#include "bench/cuda/launch_recorder.hpp"
#include "engine/error.hpp"

using namespace pixeldp;

/// Prints, as JSON, the kernels' work on representative shapes: with the launches, the least bytes
/// that must go from or to memory and the operations that must be done. bench/kernels.py makes the
/// table; `bench device --run NAME` does the work of one case.
int main(int argc, char** argv) {
  CLI::App program("The kernels' work on representative shapes, for bench/kernels.py");
  CLI11_PARSE(program, argc, argv);
  try {
    if (!bench::recording()) fail("another CUDA runtime is preloaded: nothing is recorded");
    nlohmann::json report = nlohmann::json::array();
    const Stream stream(Device{DeviceKind::cuda, 0});
    for (const bench::KernelCase& one : bench::cuda::kernel_cases(bench::CaseSize::full)) {
      nlohmann::json entry = {{"name", one.name},
                              {"unit", one.unit},
                              {"operations", one.operations},
                              {"bytes", one.bytes}};
      bench::Inputs inputs(stream);
      one.prepare(inputs)();
      for (const bench::RecordedLaunch& launch : bench::take_launches()) {
        entry["launches"].push_back({{"kernel", launch.kernel},
                                     {"grid", launch.grid},
                                     {"block", launch.block},
                                     {"shared", launch.shared_bytes}});
      }
      report.push_back(std::move(entry));
    }
    fmt::print("{}\n", report.dump());
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return static_cast<int>(error.kind());
  }
}
