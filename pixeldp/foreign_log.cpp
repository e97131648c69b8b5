#include "pixeldp/foreign_log.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/text.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/log_place.hpp"
#include "pixeldp/special_functions.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::json;

constexpr std::string_view smoothing_columns = "idx\tlabel\tpredict\tradius\tcorrect\ttime";

/// Header of votes of which nothing else is known.
CertificateLogHeader header_of(CountSource source, const ForeignConditions& conditions,
                               double sensitivity) {
  if (!(conditions.noise_scale > 0 && std::isfinite(conditions.noise_scale)))
    fail_usage("--sigma {}: the scale of the noise must be given, and above 0",
               conditions.noise_scale);
  CertificateLogHeader header;
  header.source = source;
  header.model_sha256 = header.dataset = header.dataset_sha256 = header.split = unrecorded;
  header.function = {unrecorded, unrecorded, unrecorded};
  header.calibration = {.mechanism = conditions.mechanism,
                        .attack_norm = norm_of(conditions.mechanism),
                        .noise_scale = conditions.noise_scale,
                        .sensitivity = sensitivity};
  header.options.alpha = conditions.alpha;
  header.statistics = {.votes = true, .sums = false};
  return header;
}

/// Python writes NaN and Infinity, which JSON has not; no key that is read here may hold them.
std::string without_nan(std::string_view text) {
  std::string json(text);
  for (const std::string_view word : {"NaN", "-Infinity", "Infinity"})
    for (std::size_t at; (at = json.find(word)) != std::string::npos;)
      json.replace(at, word.size(), "null");
  return json;
}

const Json& member(const Json& object, const char* key, std::string_view source) {
  const auto found = object.find(key);
  if (found == object.end()) fail("{}: {} is missing", source, key);
  return *found;
}

/// The votes of an image: whole numbers, though mostly written as 298.0.
std::vector<std::uint64_t> votes_of(const Json& row, std::size_t image, std::string_view source) {
  std::vector<std::uint64_t> votes;
  for (const Json& value : row) {
    const double number = value.is_number() ? value.get<double>() : -1.0;
    if (!(number >= 0 && number <= 0x1p53 && number == std::floor(number)))
      fail("{}: argmax_sum of image {} holds {}, which is no number of votes", source, image,
           value.dump());
    votes.push_back(static_cast<std::uint64_t>(number));
  }
  return votes;
}

// ---- Logs of randomised smoothing

struct SmoothingLine {
  std::int64_t image = 0;
  int label = 0, prediction = 0;  // prediction -1: it abstained
  double radius = 0.0;
};

template <class Number>
Number number(const LogPlace& place, std::string_view cell, const char* column) {
  const auto value = parse_number<Number>(cell);
  if (!value) place.fail("{} is '{}', which is no number", column, cell);
  return *value;
}

SmoothingLine parse_line(std::string_view line, const LogPlace& place) {
  const std::vector<std::string_view> cells = split(line, '\t');
  if (cells.size() != 6) place.fail("{} columns instead of 6", cells.size());
  const SmoothingLine parsed{.image = number<std::int64_t>(place, cells[0], "idx"),
                             .label = number<int>(place, cells[1], "label"),
                             .prediction = number<int>(place, cells[2], "predict"),
                             .radius = number<double>(place, cells[3], "radius")};
  constexpr int most_classes = 1 << 20;
  if (parsed.image < 0 || parsed.label < 0 || parsed.label >= most_classes ||
      parsed.prediction < -1 || parsed.prediction >= most_classes)
    place.fail("image {}, label {} and prediction {} are not all from 0 up", parsed.image,
               parsed.label, parsed.prediction);
  if (!(parsed.radius >= 0 && std::isfinite(parsed.radius)))
    place.fail("radius {} is not a finite number from 0 up", parsed.radius);
  if (parsed.prediction == -1 && parsed.radius > 0)
    place.fail("an abstention with the radius {}", parsed.radius);
  if (number<int>(place, cells[4], "correct") != (parsed.prediction == parsed.label ? 1 : 0))
    place.fail("correct is {}, with label {} and prediction {}", cells[4], parsed.label,
               parsed.prediction);
  return parsed;
}

/// The smallest count whose radius is printed like this one, as '{:.3}' of Python prints it.
std::uint64_t count_for(const SmoothingLine& line, const ForeignConditions& conditions,
                        const LogPlace& place) {
  const auto printed = [&](std::uint64_t count) {
    const double lower = clopper_pearson_lower(count, conditions.draws, conditions.alpha);
    if (lower < 0.5) return -1.0;  // it would have abstained
    const double radius = conditions.noise_scale * normal_quantile_lower(lower);
    return std::stod(fmt::format("{:.3g}", std::max(radius, 0.0)));
  };
  std::uint64_t less = 0, enough = conditions.draws;
  while (less < enough) {
    const std::uint64_t middle = less + (enough - less) / 2;
    if (printed(middle) >= line.radius) {
      enough = middle;
    } else {
      less = middle + 1;
    }
  }
  if (printed(enough) != line.radius) {
    place.fail(
        "no number of votes among {} draws gives the radius {} at sigma {} and alpha {}: one of "
        "--draws, --sigma and --alpha is not the log's",
        conditions.draws, line.radius, conditions.noise_scale, conditions.alpha);
  }
  return enough;
}

CertificateRecord record_of(const SmoothingLine& line, std::size_t classes,
                            const ForeignConditions& conditions, const LogPlace& place) {
  const auto another = [](int label) { return label == 0 ? 1 : 0; };
  const bool abstains = line.prediction == -1;
  CertificateRecord record{.image = line.image,
                           .label = line.label,
                           .prediction = abstains ? another(line.label) : line.prediction,
                           .selection_draws = conditions.selection_draws,
                           .statistics = {}};
  const std::uint64_t count = abstains ? 0 : count_for(line, conditions, place);
  std::vector<std::uint64_t> votes(classes, 0);
  votes[static_cast<std::size_t>(record.prediction)] = count;
  votes[static_cast<std::size_t>(another(record.prediction))] = conditions.draws - count;
  record.statistics.draws = conditions.draws;
  record.statistics.votes = std::move(votes);
  return record;
}

/// What a log that was put together must not hold either.
void check(const CertificateLog& log, std::string_view source) {
  if (const auto text = fault(log.header)) fail("{}: {}", source, *text);
  for (const CertificateRecord& record : log.records)
    if (const auto text = fault(log.header, record))
      fail("{}: image {}: {}", source, record.image, *text);
}

}  // namespace

CountSource source_of(std::string_view text) {
  const std::string_view first = text.substr(0, text.find_first_of("\r\n"));
  if (first == smoothing_columns) return CountSource::smoothing_log;
  // One object, of which a certificate log's first line has no such key.
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  const bool object = start != std::string_view::npos && text[start] == '{';
  const bool ours = first.find("\"format_version\"") != std::string_view::npos;
  if (object && !ours && text.find("\"argmax_sum\"") != std::string_view::npos)
    return CountSource::eval_data;
  return CountSource::draws;
}

CertificateLog parse_eval_data(std::string_view text, std::string_view source,
                               const ForeignConditions& conditions) {
  Json data;
  try {
    data = Json::parse(without_nan(text));
  } catch (const Json::exception& error) {
    fail("{}: the file is not JSON: {}", source, error.what());
  }
  const Json& votes = member(data, "argmax_sum", source);
  const Json& right = member(data, "pred_truth_argmax", source);
  const Json& sensitivity = member(data, "sensitivity_mult_used", source);
  if (!votes.is_array() || !right.is_array() || votes.size() != right.size() || votes.empty())
    fail("{}: argmax_sum and pred_truth_argmax must be lists, of as many images", source);
  if (!sensitivity.is_number() || !(sensitivity.get<double>() > 0))
    fail("{}: sensitivity_mult_used is {}, which is no sensitivity", source, sensitivity.dump());
  CertificateLog log;
  log.header = header_of(CountSource::eval_data, conditions, sensitivity.get<double>());
  for (std::size_t i = 0; i < votes.size(); ++i) {
    CertificateRecord record;
    record.image = static_cast<std::int64_t>(i);
    if (!votes[i].is_array() || votes[i].size() != votes[0].size() || votes[i].size() < 2)
      fail("{}: argmax_sum of image {} is no list of as many classes as the first", source, i);
    record.statistics.votes = votes_of(votes[i], i, source);
    for (const std::uint64_t count : record.statistics.votes) record.statistics.draws += count;
    record.prediction = record.statistics.top_label(ScoreType::argmax);
    const bool known = right[i].is_boolean() || right[i] == 0 || right[i] == 1;
    if (!known)
      fail("{}: pred_truth_argmax of image {} is {}, neither true nor false", source, i,
           right[i].dump());
    if (right[i] == true || right[i] == 1) record.label = record.prediction;
    log.records.push_back(std::move(record));
  }
  log.header.draws = log.records.front().statistics.draws;
  check(log, source);
  return log;
}

CertificateLog parse_smoothing_log(std::string_view text, std::string_view source,
                                   const ForeignConditions& conditions) {
  if (conditions.mechanism != Mechanism::gaussian)
    fail_usage("--mechanism {}: logs of this form are of Gaussian noise",
               name(conditions.mechanism));
  if (conditions.draws == 0 || conditions.selection_draws == 0)
    fail_usage(
        "--draws and --selection-draws: a log of smoothing does not say its own, and has both");
  CertificateLog log;
  log.header = header_of(CountSource::smoothing_log, conditions, 1.0);
  log.header.draws = conditions.draws;
  log.header.selection_draws = conditions.selection_draws;
  log.header.selected_by = ScoreType::argmax;
  std::vector<SmoothingLine> lines;
  std::set<std::int64_t> images;
  LogPlace place{source, 0};
  int last_label = 1;
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (++place.line == 1) continue;  // the columns
    lines.push_back(parse_line(line, place));
    if (!images.insert(lines.back().image).second)
      place.fail("image {} is there already", lines.back().image);
    last_label = std::max({last_label, lines.back().label, lines.back().prediction});
  }
  log.cut_short = !text.empty();
  for (std::size_t i = 0; i < lines.size(); ++i)
    log.records.push_back(
        record_of(lines[i], static_cast<std::size_t>(last_label) + 1, conditions, {source, i + 2}));
  check(log, source);
  return log;
}

}  // namespace pixeldp
