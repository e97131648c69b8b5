#include "bench/device/command.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "bench/device/on_device.hpp"
#include "bench/device/session.hpp"
#include "engine/error.hpp"
#include "engine/runtime.hpp"

namespace pixeldp::bench {
namespace {

struct Part {
  std::string name, about;
  void (*run)(Session&);
};

const std::vector<Part> parts = {
    {"ceilings", "what the device can do at best: copies, reads from L2, products by cuBLASLt",
     ceilings},
    {"draws", "certify's loop from pixels to certificates, by network and micro-batch",
     draws_on_device},
    {"kernels", "every kernel alone, warm and with the L2 cache flushed", kernels_alone},
    {"convolutions", "those of WRN-28-10, forward and backward, against cuDNN", convolutions},
    {"training", "training steps", training_on_device}};

struct Arguments {
  std::string device = "cuda", run, output;
  int samples = 15, repetitions = 1;
  bool json = false, list = false, quick = false;
  std::vector<std::string> chosen;
};

void list_everything(const DeviceOptions& options) {
  for (const Part& part : parts) fmt::print("{:<12} {}\n", part.name, part.about);
  fmt::print("\nwhat --run takes:\n");
  for (const KernelCase& one : kernel_cases(options.device, options.size))
    fmt::print("{}\n", one.name);
}

void run_case(const DeviceOptions& options, const std::string& name, int repetitions) {
  const std::vector<KernelCase> all = kernel_cases(options.device, options.size);
  const auto at = std::ranges::find(all, name, &KernelCase::name);
  if (at == all.end()) fail_usage("there is no kernel case \"{}\": --list names all", name);
  const Stream stream(options.device);
  Inputs inputs(stream);
  const Work work = at->prepare(inputs);
  for (int i = 0; i < repetitions; ++i) work();
  stream.synchronize();
}

void describe(const Device& device, Report& report) {
  const Runtime::Properties p = runtime(device.kind).properties(device.index);
  constexpr double mib = 1 << 20;
  const auto megabytes = [](std::size_t bytes) { return static_cast<double>(bytes) / mib; };
  report.about(
      "device",
      {{"name", device.name()},
       {"model", p.name},
       {"architecture", p.architecture},
       {"multiprocessors", p.multiprocessors},
       {"memory_bytes", p.memory_bytes},
       {"l2_bytes", p.l2_bytes},
       {"clock_hz", p.clock},
       {"memory_bytes_per_second", p.memory_bandwidth}},
      fmt::format("{}: {}, sm_{}, {} multiprocessors, {:.0f} MHz, {:.0f} MiB, L2 {:.0f} MiB",
                  device.name(), p.name, p.architecture, p.multiprocessors, 1e-6 * p.clock,
                  megabytes(p.memory_bytes), megabytes(p.l2_bytes)));
}

int measure(const DeviceOptions& options, const Arguments& a) {
  const std::vector<std::string>& chosen = a.chosen;
  Report report(a.json);
  describe(options.device, report);
  Session session(options, report);
  if (!a.output.empty()) report.save(a.output);  // which must be possible before anything is timed
  for (const Part& part : parts) {
    if (!chosen.empty() && std::ranges::find(chosen, part.name) == chosen.end()) continue;
    report.part(part.name);
    if (options.device.kind == DeviceKind::emulated)
      report.note("emulated on the processor, smallest shapes: these times say nothing of a GPU");
    session.attempt(part.name, [&] { part.run(session); });
    if (!a.output.empty()) report.save(a.output);
  }
  report.finish();
  return report.anything_failed() ? 1 : 0;
}

}  // namespace

void add_device(CLI::App& program, const std::string& source_folder, int& status) {
  CLI::App* command = program.add_subcommand(
      "device", "Measures kernels and networks on a GPU; exit status 1 where a line failed");
  const auto a = std::make_shared<Arguments>();
  command
      ->add_option("--device", a->device, "cuda, cuda:N, or emulated (which shows that all runs)")
      ->capture_default_str();
  command->add_flag("--quick", a->quick, "The smallest shapes, as always on emulated");
  command->add_option("--samples", a->samples, "Of each line, of which the median counts")
      ->check(CLI::Range(3, 1000))
      ->capture_default_str();
  command->add_flag("--json", a->json, "Print one JSON object");
  command->add_option("--output", a->output,
                      "Also write the JSON object to this file, part by part");
  command->add_flag("--list", a->list, "Name the parts, and the kernel cases that --run takes");
  command->add_option("--run", a->run, "Only do the work of this kernel case, for a profiler");
  command->add_option("--repetitions", a->repetitions, "Of --run")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  std::vector<std::string> names;
  for (const Part& part : parts) names.push_back(part.name);
  command->add_option("parts", a->chosen, "What to measure (default: everything)")
      ->check(CLI::IsMember(names));
  command->callback([a, &source_folder, &status] {
    const Device device = Device::parse(a->device);
    if (device.kind == DeviceKind::cpu)
      fail_usage(
          "bench device measures GPUs: --device cuda, cuda:N or emulated; without `device` "
          "bench measures the processor");
    const bool least = a->quick || device.kind == DeviceKind::emulated;
    const DeviceOptions options = {device, least ? CaseSize::least : CaseSize::full, a->samples,
                                   source_folder};
    if (a->list) return list_everything(options);
    if (!a->run.empty()) return run_case(options, a->run, a->repetitions);
    status = measure(options, *a);
  });
}

}  // namespace pixeldp::bench
