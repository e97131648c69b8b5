#include "pixeldp/certificate_log_check.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "engine/error.hpp"

namespace pixeldp {
namespace {

using Wide = unsigned __int128;

constexpr std::string_view precisions[] = {unrecorded, "fp32", "bf16", "int8"};
constexpr std::string_view residual_precisions[] = {unrecorded, "fp32", "bf16"};
constexpr std::string_view functions[] = {unrecorded, "direct", "winograd", "tensor-core"};

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Softmax scores are rounded to 2^-32 each and sum to 1 up to float rounding: sums that stray
/// further than a thousandth were not made by draws.
bool sums_match(const std::vector<std::uint64_t>& sums, std::uint64_t draws) {
  Wide total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  const Wide expected = Wide{draws} << 32;
  return (total > expected ? total - expected : expected - total) <= expected / 1000;
}

std::optional<std::string> fault_of_origin(const CertificateLogHeader& header) {
  const bool foreign = is_foreign(header.source);
  const auto unknown = [&](const std::string& value) { return foreign && value == unrecorded; };
  if (!is_sha256(header.model_sha256) && !unknown(header.model_sha256))
    return "model_sha256 must be 64 hexadecimal digits";
  if (!header.classifier_sha256.empty() && !is_sha256(header.classifier_sha256))
    return "classifier_sha256 must be 64 hexadecimal digits";
  if (header.dataset.empty()) return "dataset is empty";
  if (!is_sha256(header.dataset_sha256) && !unknown(header.dataset_sha256))
    return "dataset_sha256 must be 64 hexadecimal digits";
  if (header.split != "train" && header.split != "test" && !unknown(header.split))
    return fmt::format("split must be train or test, but is '{}'", header.split);
  return std::nullopt;
}

/// Counts that ended their draws are bounded by what holds after every number of draws alone.
std::optional<std::string> fault_of_stopping(const CertificateLogHeader& header) {
  if (auto text = fault(header.stopping, header.draws)) return text;
  if (header.stopping.rule == StoppingRule::fixed) return std::nullopt;
  if (header.calibration.mechanism == Mechanism::none)
    return fmt::format("stopping is {}, but the mechanism is none", name(header.stopping.rule));
  if (auto text = fault(header.stopping, header.options)) return text;
  if (header.selection_draws == 0)
    return fmt::format("stopping is {}, but there are no selection draws",
                       name(header.stopping.rule));
  return std::nullopt;
}

/// Whether a line can have the numbers of draws that it says.
std::optional<std::string> fault_of_draws(const CertificateLogHeader& header,
                                          const CertificateRecord& record) {
  const std::uint64_t draws = record.statistics.draws;
  switch (header.stopping.rule) {
    case StoppingRule::fixed:  // what is said of the log says the header's number
      if (draws == header.draws && record.selection_draws == header.selection_draws)
        return std::nullopt;
      return fmt::format("draws and selection_draws are {} and {}, but the header says {} and {}",
                         draws, record.selection_draws, header.draws, header.selection_draws);
    case StoppingRule::radius:
    case StoppingRule::tolerance:
      if (!std::ranges::binary_search(header.stopping.looks, draws))
        return fmt::format("{} draws are at none of the header's looks", draws);
      if (record.selection_draws == header.selection_draws) return std::nullopt;
      return fmt::format("selection_draws is {}, but the header says {}", record.selection_draws,
                         header.selection_draws);
  }
  fail("not a stopping rule: {}", static_cast<int>(header.stopping.rule));
}

std::optional<std::string> fault_of_ledger(const CertificateLogHeader& header) {
  const AlphaLedger& ledger = header.ledger;
  const bool recorded =
      header.source == CountSource::draws && header.calibration.mechanism != Mechanism::none;
  if (ledger.empty() == recorded)
    return recorded ? "the ledger is empty"
                    : "the ledger holds looks that nobody can have recorded";
  double total = 0.0;
  for (std::size_t i = 0; i < ledger.size(); ++i) {
    const Look& look = ledger[i];
    if (look.draws == 0 || !(look.alpha > 0 && look.alpha < 1) || !suits(look.bound, look.scores))
      return fmt::format("look {} of the ledger is none", i + 1);
    if (i > 0 && !before(ledger[i - 1], look))
      return fmt::format("look {} of the ledger is not behind the one before it", i + 1);
    total += look.alpha;
  }
  if (total >= 1) return "the alphas of the ledger add up to 1 or more";
  return std::nullopt;
}

/// What is wrong with the votes or sums that are kept; `classes` becomes their number.
std::optional<std::string> fault_of_votes(const ScoreStatistics& statistics, std::size_t& classes) {
  classes = statistics.votes.size();
  Wide total = 0;
  for (const std::uint64_t votes : statistics.votes) total += votes;
  if (total != statistics.draws)
    return fmt::format("the votes do not sum to the {} draws", statistics.draws);
  return std::nullopt;
}

std::optional<std::string> fault_of_sums(const ScoreStatistics& statistics, std::size_t& classes) {
  classes = statistics.sums.size();
  if (statistics.squares.size() != classes)
    return fmt::format("{} sums, but {} squares", classes, statistics.squares.size());
  for (std::size_t i = 0; i < classes; ++i) {
    if (statistics.squares[i] > statistics.sums[i])
      return fmt::format("the sum of squares of class {} exceeds its sum", i);
  }
  if (!sums_match(statistics.sums, statistics.draws))
    return fmt::format("the sums do not match the {} draws", statistics.draws);
  return std::nullopt;
}

/// A score in units of 2^-32 is as many times 2^27 as thresholds that it reaches, and less than one
/// more.
std::optional<std::string> fault_of_histogram(const ScoreStatistics& statistics) {
  const auto& counts = statistics.histogram;
  if (counts.size() != statistics.sums.size() * score_thresholds)
    return fmt::format("{} counts of a histogram, but {} classes", counts.size(),
                       statistics.sums.size());
  for (std::size_t c = 0; c < statistics.sums.size(); ++c) {
    Wide reached = 0;
    std::uint64_t before = statistics.draws;
    for (std::size_t i = c * score_thresholds; i < (c + 1) * score_thresholds; ++i) {
      if (counts[i] > before) return fmt::format("the histogram of class {} rises", c);
      reached += before = counts[i];
    }
    const Wide least = reached << 27, sum = statistics.sums[c];
    if (sum < least || sum - least > Wide{statistics.draws} << 27)
      return fmt::format("the histogram of class {} does not match its sum", c);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name(CountSource source) {
  switch (source) {
    case CountSource::draws:
      return "draws";
    case CountSource::format_1:
      return "format-1";
    case CountSource::eval_data:
      return "eval-data";
    case CountSource::smoothing_log:
      return "smoothing-log";
  }
  fail("not a source of counts: {}", static_cast<int>(source));
}

bool is_foreign(CountSource source) {
  switch (source) {
    case CountSource::draws:
    case CountSource::format_1:
      return false;
    case CountSource::eval_data:
    case CountSource::smoothing_log:
      return true;
  }
  fail("not a source of counts: {}", static_cast<int>(source));
}

bool KeptStatistics::hold(ScoreType scores) const {
  switch (scores) {
    case ScoreType::argmax:
      return votes;
    case ScoreType::softmax:
      return sums;
  }
  fail("not a score type: {}", static_cast<int>(scores));
}

std::vector<std::string> names_of(const KeptStatistics& kept) {
  std::vector<std::string> names;
  if (kept.votes) names = {"votes"};
  if (kept.sums) names.insert(names.end(), {"sums", "squares"});
  if (kept.histogram) names.emplace_back("histogram");
  return names;
}

std::optional<std::string> fault(const CertificateLogHeader& header) {
  if (auto text = fault_of_origin(header)) return text;
  const Calibration& calibration = header.calibration;
  const Construction construction = calibration.construction.value_or(Construction());
  for (const double value : {construction.bound, construction.epsilon, construction.delta,
                             calibration.noise_scale, calibration.sensitivity}) {
    if (!std::isfinite(value) || value < 0) return "a value of the calibration is out of range";
  }
  if (header.noise_at_certification && calibration.mechanism == Mechanism::none)
    return "noise_at_certification is true, but the mechanism is none";
  try {
    calibration.check();
    if (calibration.mechanism != Mechanism::none) {
      check_bound(header.options.bound, header.options.scores,
                  selection_of(header.selection_draws > 0));
    }
  } catch (const Error& error) {
    return error.what();
  }
  if (!(header.options.alpha > 0 && header.options.alpha < 1)) {
    return fmt::format("alpha must lie between 0 and 1, but is {}", header.options.alpha);
  }
  const auto unknown = [](std::span<const std::string_view> known, std::string_view value) {
    return std::ranges::find(known, value) == known.end();
  };
  const BodyFunction& function = header.function;
  if (unknown(precisions, function.precision))
    return fmt::format("precision '{}' is unknown", function.precision);
  if (unknown(residual_precisions, function.residual_precision))
    return fmt::format("residual_precision '{}' is unknown", function.residual_precision);
  if (unknown(functions, function.algorithm))
    return fmt::format("algorithm '{}' is unknown", function.algorithm);
  if (header.draws == 0) return "draws is 0";
  if (header.selected_by.has_value() != (header.selection_draws > 0))
    return "selected_by belongs to selection_draws, and only to them";
  if (auto text = fault(header.statistics, header.options)) return text;
  if (auto text = fault_of_top(header)) return text;
  if (auto text = fault_of_stopping(header)) return text;
  return fault_of_ledger(header);
}

std::optional<std::string> fault(const KeptStatistics& kept, const CertificateOptions& options) {
  if (!kept.hold(options.scores))
    return fmt::format("{} scores, but the lines hold none", name(options.scores));
  if (options.kind == CertificateKind::cdf && !kept.histogram)
    return "the certificate cdf, but the lines hold no histogram of scores: certify --histogram "
           "makes it";
  return std::nullopt;
}

std::optional<std::string> fault_of_top(const CertificateLogHeader& header) {
  if (header.options.top == 1 || header.source != CountSource::smoothing_log)
    return fault(header.options, std::numeric_limits<int>::max());
  return fmt::format(
      "top {}: a log of smoothing does not say how the votes of other labels were shared out, on "
      "which the first of these depend",
      header.options.top);
}

std::optional<std::string> fault(const Stopping& stopping, const CertificateOptions& options) {
  if (stopping.rule == StoppingRule::fixed ||
      (options.scores == ScoreType::argmax && options.bound == Bound::anytime))
    return std::nullopt;
  return fmt::format(
      "the draws of each image stopped by its counts ({}): {} bounds of {} scores say nothing of "
      "such counts, only anytime bounds of argmax scores do",
      name(stopping.rule), name(options.bound), name(options.scores));
}

std::optional<std::string> fault(const CertificateLogHeader& header,
                                 const CertificateRecord& record) {
  const ScoreStatistics& statistics = record.statistics;
  const ScoreType scores = header.options.scores;
  if (record.image < 0) return fmt::format("image {} is negative", record.image);
  if (statistics.draws == 0) return "draws is 0";
  std::size_t classes = 0, classes_of_sums = 0;
  const KeptStatistics& kept = header.statistics;
  if (kept.votes)
    if (auto text = fault_of_votes(statistics, classes)) return text;
  if (kept.sums)
    if (auto text = fault_of_sums(statistics, classes_of_sums)) return text;
  if (kept.histogram)
    if (auto text = fault_of_histogram(statistics)) return text;
  if (kept.votes && kept.sums && classes != classes_of_sums)
    return fmt::format("votes of {} classes, but sums of {}", classes, classes_of_sums);
  classes = std::max(classes, classes_of_sums);
  if (auto text = fault(header.options, static_cast<int>(classes))) return text;
  if (auto text = fault_of_draws(header, record)) return text;
  const bool label_unknown = record.label == -1 && header.source == CountSource::eval_data;
  if (!label_unknown && (record.label < 0 || std::cmp_greater_equal(record.label, classes))) {
    return fmt::format("label {} is not one of the {} classes", record.label, classes);
  }
  if (record.prediction < 0 || std::cmp_greater_equal(record.prediction, classes)) {
    return fmt::format("prediction {} is not one of the {} classes", record.prediction, classes);
  }
  if (record.selection_draws == 0 && record.prediction != statistics.top_label(scores)) {
    return fmt::format("prediction {} is not the label with the highest score, {}",
                       record.prediction, statistics.top_label(scores));
  }
  if (!std::isfinite(record.radius) || record.radius < 0) {
    return fmt::format("radius {} is not a finite number from 0 up", record.radius);
  }
  if (record.radius > 0 && header.calibration.mechanism == Mechanism::none) {
    return fmt::format("radius {}, but without noise nothing can be certified", record.radius);
  }
  return std::nullopt;
}

}  // namespace pixeldp
