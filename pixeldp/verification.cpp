#include "pixeldp/verification.hpp"

#include <chrono>

#include <fmt/ranges.h>

#include "engine/error.hpp"
#include "engine/interrupt.hpp"
#include "engine/progress.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/certification.hpp"
#include "pixeldp/certifying.hpp"
#include "pixeldp/lattice_prefix.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp {
namespace {

std::optional<kernels::Precision> precision_of(const CertificateLogHeader& header) {
  if (header.function.precision == unrecorded) return std::nullopt;
  return parse_precision(header.function.precision);
}

/// Throws an Error unless such a certification of these would write the log's header, but for the
/// rules of the certificates, which nothing is drawn by.
void check_conditions(const CertificateLogHeader& header, const Model& model,
                      const std::string& model_sha256, const Dataset& dataset,
                      const Device& device) {
  CertificateLogHeader mine =
      certification_header(model, model_sha256, dataset,
                           {.device = device,
                            .certificate = header.options,
                            .histogram = header.statistics.histogram,
                            .precision = precision_of(header),
                            .algorithm = algorithm_of(header.function, device),
                            .draws = static_cast<std::uint32_t>(header.draws),
                            .stopping = header.stopping,
                            .selection_draws = static_cast<std::uint32_t>(header.selection_draws),
                            .seed = header.seed,
                            .sound = header.calibration.lattice_step > 0.0,
                            .charged = is_charged(header.calibration)});
  mine.source = header.source, mine.statistics = header.statistics;
  mine.ledger = header.ledger, mine.selected_by = header.selected_by;
  if (const std::string difference = header.difference(mine); !difference.empty())
    fail("the log cannot be drawn again here: it is of other conditions (the log's first):\n{}",
         difference);
}

/// What differs between a line and what was drawn; empty where nothing does.
std::string difference(const CertificateLogHeader& header, const CertificateRecord& record,
                       const SampledImage& sampled) {
  std::string text;
  const auto compare = [&](const char* key, const auto& of_log, const auto& drawn) {
    if (of_log == drawn) return;
    text +=
        fmt::format("{}{} {} in the log, {} drawn", text.empty() ? "" : "; ", key, of_log, drawn);
  };
  compare("label", record.label, sampled.label);
  compare("draws", record.statistics.draws, sampled.statistics.draws);
  if (header.statistics.votes) compare("votes", record.statistics.votes, sampled.statistics.votes);
  if (header.statistics.sums) {
    compare("sums", record.statistics.sums, sampled.statistics.sums);
    compare("squares", record.statistics.squares, sampled.statistics.squares);
  }
  if (header.statistics.histogram)
    compare("histogram", record.statistics.histogram, sampled.statistics.histogram);
  if (sampled.selected) compare("prediction", record.prediction, *sampled.selected);
  return text.empty() ? text : fmt::format("image {}: {}", record.image, text);
}

}  // namespace

void check_share(const VerificationOptions& options) {
  if (!(options.fraction > 0 && options.fraction <= 1))
    fail_usage("--fraction {}: it must be above 0, and at most 1", options.fraction);
}

std::optional<kernels::Algorithm> algorithm_of(const BodyFunction& function, const Device& device) {
  if (device.kind != DeviceKind::cpu || function.precision != "fp32") return std::nullopt;
  return function.algorithm == name(kernels::Algorithm::winograd) ? kernels::Algorithm::winograd
                                                                  : kernels::Algorithm::direct;
}

Verification verify(const CertificateLog& log, const Model& model, const std::string& model_sha256,
                    const Dataset& dataset, const VerificationOptions& o) {
  const CertificateLogHeader& header = log.header;
  check_share(o);
  check_conditions(header, model, model_sha256, dataset, o.device);
  const auto chosen = chosen_records(log.records, dataset, o);
  Verification verification;
  for (const auto& [image, record] : chosen) verification.images.push_back(image);
  Sampler sampler(
      Stream(o.device), model.network, o.micro_batch,
      {precision_of(header), quantisation(model), algorithm_of(header.function, o.device)},
      lattice_of(header.calibration, model));
  ProgressBar progress("verify", std::ssize(verification.images), "images", 0);
  const auto start = std::chrono::steady_clock::now();
  std::int64_t done = 0;
  sample_until_stopped(header, sampler, dataset, verification.images,
                       {.seed = header.seed,
                        .draws = static_cast<std::uint32_t>(header.draws),
                        .selection_draws = static_cast<std::uint32_t>(header.selection_draws),
                        .scores = header.selected_by.value_or(header.options.scores),
                        .pixel_shift = static_cast<float>(model.pixel_shift),
                        .histogram = header.statistics.histogram},
                       [&](const SampledImage& sampled) {
                         std::string text = difference(header, *chosen.at(sampled.image), sampled);
                         if (!text.empty()) verification.differences.push_back(std::move(text));
                         verification.draws += sampled.statistics.draws + sampled.selection_draws;
                         progress.update(++done);
                       });
  progress.finish();
  if (done < std::ssize(verification.images))
    fail_interrupted("interrupted after {} of {} images; start again", done,
                     verification.images.size());
  verification.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return verification;
}

double chance_to_escape(std::size_t checked, std::size_t images) {
  return 1.0 - static_cast<double>(checked) / static_cast<double>(images);
}

}  // namespace pixeldp
