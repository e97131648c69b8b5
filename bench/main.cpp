// All measurements: each line against the alternative it names, timed in turns in the same run.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/compare.hpp"
#include "bench/device/command.hpp"
#include "bench/parts.hpp"
#include "bench/roofline.hpp"
#include "bench/serve.hpp"
#include "bench/sharing.hpp"
#include "bench/votes.hpp"
#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/threads.hpp"

using namespace pixeldp;

namespace {

struct Part {
  std::string name, about;
  void (*run)(const bench::Options&, bench::Report&);
};

const std::vector<Part> parts = {
    {"noise", "noise and draw statistics on each instruction set", bench::noise},
    {"draws", "draws of the MNIST CNN against naive ones; share of noise and statistics",
     bench::draws},
    {"wide-resnet", "a wide residual network against oneDNN's convolutions alone",
     bench::wide_resnet},
    {"products",
     "products of bytes of each layer of four networks by instruction set and algorithm",
     bench::products},
    {"curve", "draws per second by the number of draws and of images", bench::curve},
    {"log", "what the certificate log costs beside the draws that it holds", bench::log},
    {"overhead", "training with noise, and predictions by 1 to 1,000 draws, against plain ones",
     bench::overhead},
    {"attacks", "gradients of many draws in images, against draws alone", bench::attacks},
    {"training", "a training step with and without noise layer and projection", bench::training}};

void add_compare(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand(
      "compare", fmt::format("Compares two reports of --json, line by line: FASTER, SLOWER, SAME "
                             "(within {:g} %) or AMBIGUOUS (too scattered to tell)",
                             100.0 * bench::tolerated_change));
  struct Arguments {
    std::string before, after;
    bool json = false;
  };
  const auto a = std::make_shared<Arguments>();
  command->add_option("OLD", a->before, "What bench --json printed")->required();
  command->add_option("NEW", a->after, "The same, later or elsewhere")->required();
  command->add_flag("--json", a->json, "Print one JSON object");
  command->footer("Exit status 1: a line is slower.");
  command->callback([a, &status] { status = bench::compare_files(a->before, a->after, a->json); });
}

void add_votes(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "votes", "How far two certificate logs of the same images and draws agree, vote by vote");
  struct Arguments {
    std::string log, other;
    bool json = false;
  };
  const auto a = std::make_shared<Arguments>();
  command->add_option("LOG", a->log, "What certify wrote")->required();
  command->add_option("OTHER", a->other, "The same from another device or in another precision")
      ->required();
  command->add_flag("--json", a->json, "Print one JSON object");
  command->callback([a] { bench::compare_votes(a->log, a->other, a->json); });
}

void add_roofline(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "roofline",
      "What GPUs let the convolutions of WRN-28-10 reach at the most: computed from "
      "data sheets, not measured");
  const auto rows = std::make_shared<std::int64_t>(bench::roofline_rows);
  command->add_option("--rows", *rows, "Draws evaluated together")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->callback([rows] { fmt::print("{}", bench::roofline(*rows)); });
}

void add_sharing(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "sharing",
      "How well ranks and tasks of job arrays share certify's work: its own rules on up to 4,096 "
      "modelled devices, computed, not measured");
  const auto page = std::make_shared<std::string>();
  command->add_option("--page", *page,
                      "Draw it on a page as well: docs/sharing.png is its picture");
  command->callback([page] { bench::print_sharing(*page); });
}

}  // namespace

int main(int argc, char** argv) {
  settle_threads(argv);
  CLI::App app("Measures what the engine is for. A target that is missed is no failure.");
  bench::Options options;
  const auto above = folder_above_program("configs");
  options.source_folder = above.empty() ? PIXELDP_SOURCE_DIR : above.string();
  bool json = false, list = false;
  std::vector<std::string> names, chosen;
  for (const Part& part : parts) names.push_back(part.name);
  app.add_flag("--json", json, "Print one JSON object");
  app.add_flag("--list", list, "Name the parts and what they measure");
  const auto number = [&](const char* flag, auto& value, const char* about, int most) {
    app.add_option(flag, value, about)->check(CLI::Range(1, most))->capture_default_str();
  };
  number("--repetitions", options.repetitions, "Timed turns, of which the median counts", 1000);
  number("--depth", options.depth, "Of the wide residual network: 6 n + 4", 10000);
  number("--widening", options.widening, "Of the wide residual network", 1000);
  number("--rows", options.rows, "Of the wide residual network, evaluated together", 100000);
  number("--images", options.images, "Of the MNIST CNN, in each turn of draws", 100000);
  number("--draws", options.draws, "Of each of these images", 1000000);
  app.add_option("--batch", options.batch, "Images of a training step (default: as configured)")
      ->check(CLI::Range(1, 65536));
  app.add_option("parts", chosen, "What to measure (default: everything)")
      ->check(CLI::IsMember(names));
  int status = 0;
  bench::add_device(app, options.source_folder, status);
  add_compare(app, status);
  add_votes(app);
  add_roofline(app);
  add_sharing(app);
  app.add_subcommand("serve", "Makes draws when standard input says so, for bench/peers.py")
      ->callback([] { bench::serve(std::cin, std::cout); });
  try {
    CLI11_PARSE(app, argc, argv);
    if (!app.get_subcommands().empty()) return status;
    if (list) {
      for (const Part& part : parts) fmt::print("{:<12} {}\n", part.name, part.about);
      return 0;
    }
    bench::Report report(json);
    for (const Part& part : parts) {
      if (!chosen.empty() && std::ranges::find(chosen, part.name) == chosen.end()) continue;
      report.part(part.name);
      part.run(options, report);
    }
    report.finish();
  } catch (const Error& error) {
    fmt::print(stderr, "bench: {}\n", error.what());
    return static_cast<int>(error.kind());
  }
}
