#include <algorithm>
#include <memory>

#include <dnnl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/run_folder.hpp"
#include "commit.hpp"
#include "engine/error.hpp"
#include "engine/launcher.hpp"
#include "engine/runtime.hpp"
#include "pixeldp/precision.hpp"

namespace pixeldp::cli {
namespace {

/// What there is of each kind of device, or why there is none.
std::string describe(DeviceKind kind) {
  try {
    return fmt::format("{}", fmt::join(runtime(kind).devices(), "; "));
  } catch (const Error& error) {
    return error.what();
  }
}

nlohmann::json gpus() {
  try {
    return runtime(DeviceKind::cuda).devices();
  } catch (const Error&) {
    return nlohmann::json::array();
  }
}

/// The devices that need no GPU and that this program was built with.
std::vector<std::string> devices() {
  std::vector<std::string> names = {"cpu"};
  if (has_runtime(DeviceKind::emulated)) names.push_back("emulated");
  return names;
}

std::string onednn_version() {
  const dnnl_version_t& version = *dnnl_version();
  return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

/// Those after the noise, prepared for this processor.
struct PreparedWeights {
  kernels::Precision precision;
  kernels::Algorithm algorithm;
  std::int64_t bytes;
};

/// Of a run's model; none for no run.
std::vector<PreparedWeights> weights_of(const std::string& run) {
  std::vector<PreparedWeights> all;
  if (run.empty()) return all;
  const kernels::NetworkPlan plan = lower(Stream(), load_run(run).model.network);
  for (const auto precision : {kernels::Precision::fp32, kernels::Precision::int8})
    for (const kernels::Algorithm algorithm : algorithms)
      all.push_back({precision, algorithm, prepared_weight_bytes(plan.body, precision, algorithm)});
  return all;
}

}  // namespace

void add_device_option(CLI::App& command, std::string& device) {
  command
      .add_option("--device", device,
                  "Where to compute: cpu, cuda or cuda:N (a GPU; without N the first, or that of a "
                  "rank's number on its machine), emulated (the GPU kernels on the processor, "
                  "slowly)")
      ->capture_default_str();
}

Device chosen_device(const std::string& text) {
  Device device = Device::parse(text);
  if (const int rank = launcher().local_rank; rank > 0 && text == "cuda")
    device.index = rank % std::max(1, static_cast<int>(runtime(device.kind).devices().size()));
  return device;
}

void add_info(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "info", "Version, build options, devices, instruction sets; memory that a run's model takes");
  struct InfoOptions {
    std::string run;
    bool json = false;
  };
  auto o = std::make_shared<InfoOptions>();
  command->add_option("run", o->run, "Folder of a finished training run")->type_name("RUN");
  command->add_flag("--json", o->json, "Print one JSON object");
  command->callback([o] {
    const CpuFeatures& cpu = cpu_features();
    const std::vector<PreparedWeights> weights = weights_of(o->run);
    if (o->json) {
      nlohmann::json report = {{"version", PIXELDP_VERSION},
                               {"build_type", PIXELDP_BUILD_TYPE},
                               {"commit", PIXELDP_COMMIT},
                               {"compiler", PIXELDP_COMPILER},
                               {"onednn", onednn_version()},
                               {"devices", devices()},
                               {"gpus", gpus()},
                               {"processor", cpu_model()},
                               {"threads", thread_count()},
                               {"avx2", cpu.avx2},
                               {"avx_vnni", cpu.avx_vnni},
                               {"avx512", cpu.avx512},
                               {"avx512_bf16", cpu.bf16},
                               {"avx512_vnni", cpu.vnni},
                               {"amx_int8", cpu.amx}};
      for (const PreparedWeights& w : weights)
        report["weight_bytes"][name(w.precision)][name(w.algorithm)] = w.bytes;
      fmt::print("{}\n", report.dump());
      return;
    }
    const auto yes = [](bool value) { return value ? "yes" : "no"; };
    const std::string commit = PIXELDP_COMMIT;
    fmt::print("pixeldp    {} ({} build, commit {})\n", PIXELDP_VERSION, PIXELDP_BUILD_TYPE,
               commit.empty() ? "unknown" : commit);
    fmt::print("built by   {}, with oneDNN {}\n", PIXELDP_COMPILER, onednn_version());
    fmt::print("cuda       {}\n", describe(DeviceKind::cuda));
    fmt::print("emulated   {}\n", describe(DeviceKind::emulated));
    fmt::print("processor  {}, {} threads\n", cpu_model(), thread_count());
    fmt::print("AVX2 {}, AVX-VNNI {}, AVX-512 {}, AVX-512 BF16 {}, AVX-512 VNNI {}, AMX {}\n",
               yes(cpu.avx2), yes(cpu.avx_vnni), yes(cpu.avx512), yes(cpu.bf16), yes(cpu.vnni),
               yes(cpu.amx));
    for (const PreparedWeights& w : weights) {
      fmt::print("weights    {:.1f} MiB after the noise in {}, --algorithm {}\n",
                 static_cast<double>(w.bytes) / (1 << 20), name(w.precision), name(w.algorithm));
    }
  });
}

}  // namespace pixeldp::cli
