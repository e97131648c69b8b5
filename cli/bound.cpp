#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/certificate_arguments.hpp"
#include "cli/commands.hpp"
#include "cli/image_range.hpp"
#include "cli/run_folder.hpp"
#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/io/file.hpp"
#include "engine/progress.hpp"
#include "pixeldp/dual_bound.hpp"

namespace pixeldp::cli {
namespace {

struct BoundOptions {
  std::string run, directory, images, output;
  std::vector<double> sizes = {0.1};
  bool json = false;
};

/// How many images of a range the network gets right on every picture of a box around them.
std::int64_t proved(DualBound& bound, const Dataset& dataset, const Model& model,
                    const ImageRange& range, double size) {
  constexpr std::int64_t batch = 64;
  const PixelRange pixels{static_cast<float>(model.pixel_shift)};
  std::int64_t right = 0;
  ProgressBar progress(fmt::format("bound {}", size), range.count(), "images");
  for (std::int64_t first = 0; first < range.count(); first += batch) {
    if (interrupted()) fail_interrupted("interrupted; nothing was written");
    const std::int64_t count = std::min(batch, range.count() - first);
    Tensor x(model.network.input().with_rows(count));
    std::vector<std::int64_t> images;
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < count; ++i) {
      images.push_back(range[first + i]);
      labels.push_back(dataset.labels[static_cast<std::size_t>(images.back())]);
    }
    to_float(dataset, images, x.data(), pixels.lowest);
    const Tensor& margins = bound.margins(x, labels, size, pixels);
    for (std::int64_t row = 0; row < margins.rows(); ++row) {
      const auto label = static_cast<std::int64_t>(labels[static_cast<std::size_t>(row)]);
      bool all = true;
      for (std::int64_t c = 0; c < margins.shape()[1]; ++c)
        all = all && (c == label || margins.row(row)[c] > 0.0f);
      right += all;
    }
    progress.update(first + count);
  }
  return right;
}

void run(const BoundOptions& o) {
  install_interrupt_handler();
  for (const double size : o.sizes)
    if (!(size >= 0.0 && size <= 1.0)) fail_usage("--size is from 0 to 1, not {}", size);
  RunModel run = load_run(o.run);
  refuse_regression(run.model, "margins");
  DualBound bound(run.model.network);
  const Dataset dataset = load_evaluation_set(run.model, "", "test", o.directory);
  const ImageRange range = parse_image_range(o.images, dataset.size());
  const auto share = [&](double size) {
    return static_cast<double>(proved(bound, dataset, run.model, range, size)) /
           static_cast<double>(range.count());
  };
  const double accuracy = share(0.0);
  nlohmann::ordered_json report = {{"model", (run.folder / "model.safetensors").string()},
                                   {"images", range.count()},
                                   {"attack_norm", "inf"},
                                   {"accuracy", accuracy},
                                   {"certified_accuracy", nlohmann::ordered_json::array()}};
  for (const double size : o.sizes)
    report["certified_accuracy"].push_back({{"size", size}, {"share", share(size)}});
  if (!o.output.empty()) write_file_atomically(o.output, report.dump() + "\n");
  if (o.json) {
    fmt::print("{}\n", report.dump());
    return;
  }
  fmt::print("{} images, infinity-norm, by the dual bound of Wong and Kolter\n", range.count());
  fmt::print("accuracy                {:.2f} %\n", 100.0 * accuracy);
  for (const auto& point : report["certified_accuracy"])
    fmt::print("certified at {:<10g} {:.2f} %\n", point["size"].get<double>(),
               100.0 * point["share"].get<double>());
}

}  // namespace

void add_bound(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "bound", "What a network without noise provably withstands, by the dual bound");
  auto o = std::make_shared<BoundOptions>();
  command->add_option("run", o->run, "Folder of a training run without noise")
      ->required()
      ->type_name("RUN");
  command
      ->add_option("--size", o->sizes,
                   "How far each pixel may be from the image's, where it spans 1; one or more")
      ->capture_default_str();
  command->add_option("--images", o->images, "Test images A:B:STEP (default: all)");
  command->add_option("--data", o->directory,
                      "Folder of the data set's files (default: $PIXELDP_DATA/NAME)");
  command->add_option("--output", o->output, "Write the JSON object of --json to this file");
  command->add_flag("--json", o->json, "Print one JSON object on standard output");
  command->callback([o] { run(*o); });
}

}  // namespace pixeldp::cli
