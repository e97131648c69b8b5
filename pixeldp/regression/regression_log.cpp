#include "pixeldp/regression/regression_log.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <numeric>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "pixeldp/log_json.hpp"
#include "pixeldp/regression/regression_log_text.hpp"
#include "pixeldp/regression/statistics_json.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

constexpr int format_version = 2;
constexpr double infinite = std::numeric_limits<double>::infinity();

Json to_json(const RegressionLogHeader& h) {
  const Calibration& c = h.calibration;
  Json ledger = Json::array();
  for (const OutputOptions& look : h.ledger)
    ledger.push_back({{"prediction", name(look.prediction)},
                      {"certificate", name(look.kind)},
                      {"bound", name(look.bound)},
                      {"alpha", look.alpha}});
  Json json = {{"regression_log", format_version},
               {"model_sha256", h.model_sha256},
               {"dataset", h.dataset},
               {"dataset_sha256", h.dataset_sha256},
               {"split", h.split},
               {"output", name(h.output.kind)},
               {"low", h.output.low},
               {"high", h.output.high},
               {"mechanism", name(c.mechanism)},
               {"noise_scale", c.noise_scale}};
  json.update(construction_keys(c));
  json["attack_norm"] = name(c.attack_norm);
  json["sensitivity"] = c.sensitivity;
  json.update(charged_keys(c));
  json.update({{"prediction", name(h.options.prediction)},
               {"certificate", name(h.options.kind)},
               {"bound", name(h.options.bound)},
               {"alpha", h.options.alpha}});
  json.update(function_keys(h.function));
  json.update({{"seed", h.seed},
               {"draws", h.draws},
               {"radius", or_null(h.radius)},
               {"move", or_null(h.move)},
               {"ledger", ledger}});
  return json;
}

OutputOptions options_of(const Json& json) {
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  return {parse_prediction(text("prediction")), parse_certificate_kind(text("certificate")),
          parse_bound(text("bound")), json.at("alpha")};
}

RegressionLogHeader header_of(const Json& json) {
  RegressionLogHeader h;
  if (const int version = json.at("regression_log"); version != format_version)
    fail("it is of format {}, this program knows {}: certify anew", version, format_version);
  json.at("model_sha256").get_to(h.model_sha256);
  json.at("dataset").get_to(h.dataset);
  json.at("dataset_sha256").get_to(h.dataset_sha256);
  json.at("split").get_to(h.split);
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  h.output = {kernels::parse_output_kind(text("output")), json.at("low"), json.at("high")};
  if (const std::string wrong = kernels::fault(h.output); !wrong.empty()) fail("{}", wrong);
  Calibration& c = h.calibration;
  c.mechanism = parse_mechanism(text("mechanism"));
  c.attack_norm = parse_attack_norm(text("attack_norm"));
  c.noise_scale = json.at("noise_scale");
  c.sensitivity = json.at("sensitivity");
  if (json.contains("variation")) c.variation = json["variation"];
  if (json.contains("prefix_error")) c.prefix_error = json["prefix_error"];
  if (!json.at("construction_bound").is_null())
    c.construction = {json.at("construction_bound"), json.at("epsilon"), json.at("delta")};
  c.check();
  h.options = options_of(json);
  check_output_options(h.options, h.output, c);
  h.function = {text("precision"), text("residual_precision"), text("algorithm")};
  h.seed = json.at("seed");
  h.draws = json.at("draws");
  if (h.draws == 0 || h.draws > 0xFFFFFFFF) fail("draws is {}", h.draws);
  h.radius = optional_of<double>(json.at("radius"));
  h.move = optional_of<double>(json.at("move"));
  double spent = 0.0;
  for (const Json& look : json.at("ledger")) {
    h.ledger.push_back(options_of(look));
    check_output_options(h.ledger.back(), h.output, c);
    spent += h.ledger.back().alpha;
    if (std::ranges::count(h.ledger, h.ledger.back()) > 1) fail("the ledger has a look twice");
  }
  if (h.ledger.empty() || spent >= 1.0) fail("the ledger reserves nothing, or more than there is");
  return h;
}

/// An end that is infinite is null.
Json end_of(double value) { return std::isfinite(value) ? Json(value) : Json(); }

RegressionRecord record_of(const Json& json) {
  RegressionRecord record{.image = json.at("image"), .label = json.at("label")};
  record.prediction = json.at("prediction");
  record.statistics = statistics_of(json);
  if (json.contains("interval")) {
    const Json& ends = json["interval"];
    record.interval = {optional_of<double>(ends.at(0)).value_or(-infinite),
                       optional_of<double>(ends.at(1)).value_or(infinite)};
  }
  if (json.contains("radius")) record.radius = json["radius"].get<double>();
  return record;
}

/// Whether two processors may have derived both.
bool derived_alike(double a, double b) {
  return a == b || std::abs(a - b) <= 1e-9 * (1.0 + std::abs(a));
}

/// Throws an Error unless what the record says beside its integers follows from these.
void check_derived(const RegressionLogHeader& header, const RegressionRecord& said) {
  RegressionRecord record = said;
  derive(header, record);
  bool same = derived_alike(said.prediction, record.prediction) &&
              said.interval.has_value() == record.interval.has_value() &&
              said.radius.has_value() == record.radius.has_value();
  if (same && said.interval)
    same = derived_alike(said.interval->low, record.interval->low) &&
           derived_alike(said.interval->high, record.interval->high);
  if (same && said.radius) same = derived_alike(*said.radius, *record.radius);
  if (!same)
    fail("image {}: its prediction, interval or radius does not follow from its integers",
         record.image);
}

/// A line as JSON; calls `take`, whose errors get the line's place.
template <class Take>
void read_line(std::string_view source, std::size_t number, std::string_view text, Take take) {
  try {
    take(Json::parse(text));
  } catch (const std::exception& error) {
    fail("{}:{}: not a line of the log of a regression network: {}", source, number, error.what());
  }
}

}  // namespace

std::string header_text(const RegressionLogHeader& header) { return to_json(header).dump(); }

std::string line_text(const RegressionRecord& record) {
  Json json = {{"image", record.image}, {"label", record.label}, {"prediction", record.prediction}};
  add_statistics(json, record.statistics);
  if (record.interval)
    json["interval"] = {end_of(record.interval->low), end_of(record.interval->high)};
  if (record.radius) json["radius"] = *record.radius;
  std::string text = json.dump();
  text.pop_back();
  return text;
}

std::string fault(const RegressionLogHeader& header, const RegressionRecord& record) {
  const OutputStatistics& s = record.statistics;
  if (record.image < 0) return fmt::format("image is {}", record.image);
  if (s.draws != header.draws)
    return fmt::format("{} draws, but the header says {}", s.draws, header.draws);
  const auto counted =
      std::accumulate(s.totals.counts.begin(), s.totals.counts.end(), std::uint64_t{0});
  if (counted != s.draws) return fmt::format("the counts are {} in all, not {}", counted, s.draws);
  const auto possible = [&](std::uint64_t sum, std::uint64_t squares, double most) {
    // A square is at most its score, but for the rounding of each.
    return sum <= (s.draws << 32) && squares <= sum + s.draws && (most > 0.0 || sum == 0);
  };
  if (!possible(s.totals.positive, s.totals.positive_squares, header.output.high) ||
      !possible(s.totals.negative, s.totals.negative_squares, -header.output.low))
    return "no draws have these sums and squares";
  return {};
}

bool RegressionLogHeader::reserved() const {
  return std::ranges::find(ledger, options) != ledger.end();
}

std::string RegressionLogHeader::difference(const RegressionLogHeader& other) const {
  Json mine = to_json(*this), theirs = to_json(other);
  for (const char* key : {"variation", "prefix_error"})  // null where one has none
    if (mine.contains(key) || theirs.contains(key)) (void)mine[key];
  if (same_but_for_rounding(calibration.sensitivity, other.calibration.sensitivity))
    theirs["sensitivity"] = mine["sensitivity"];
  std::string text;
  for (const auto& [key, value] : mine.items())
    if (value != theirs[key])
      text += fmt::format("\n{}: {} and {}", key, value.dump(), theirs[key].dump());
  return text;
}

std::vector<std::pair<std::string, std::string>> RegressionLogHeader::fields() const {
  std::vector<std::pair<std::string, std::string>> texts;
  const Json all = to_json(*this);
  for (const auto& [key, value] : all.items())
    if (key != "sensitivity") texts.emplace_back(key, value.dump());
  return texts;
}

OutputCertificate certificate_of(const RegressionLogHeader& header,
                                 const RegressionRecord& record) {
  return {record.statistics, header.output, header.calibration, header.options};
}

void derive(const RegressionLogHeader& header, RegressionRecord& record) {
  const OutputStatistics& statistics = record.statistics;
  switch (header.options.prediction) {
    case Prediction::mean:
      record.prediction = statistics.mean(header.output);
      break;
    case Prediction::median:
      record.prediction = statistics.median(header.output);
      break;
  }
  record.interval.reset();
  record.radius.reset();
  if (!header.radius && !header.move) return;
  const OutputCertificate certificate = certificate_of(header, record);
  if (header.radius) record.interval = certificate.interval(*header.radius);
  if (header.move) record.radius = certificate.radius_of(*header.move);
}

bool is_regression_log(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(20, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return file && is_regression_log_text(start);
}

RegressionLog parse_regression_log(std::string_view text, std::string_view source) {
  RegressionLog log;
  LogChain chain;
  std::map<std::int64_t, std::size_t> line_of_image;
  std::size_t number = 0;
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    if (++number == 1) {
      read_line(source, number, line, [&](const Json& json) {
        log.header = header_of(json);
        if (to_json(log.header).dump() != line)
          fail("this program would write it otherwise: keys are missing, or are too many");
      });
      chain = LogChain(line);
      continue;
    }
    const std::string_view own = LogChain::text_of(line);
    RegressionRecord record;
    read_line(source, number, std::string(own) + '}', [&](const Json& json) {
      record = record_of(json);
      if (const std::string wrong = fault(log.header, record); !wrong.empty()) fail("{}", wrong);
      if (line_text(record) != own)
        fail("this program would write it otherwise: keys are missing, or are too many");
      if (chain.line(own) != line)
        fail("the chain breaks here: this line, or something before it, is not as it was written");
      check_derived(log.header, record);
      const auto [first, is_new] = line_of_image.emplace(record.image, number);
      if (!is_new) fail("image {} is on line {} already", record.image, first->second);
    });
    log.records.push_back(std::move(record));
  }
  if (number == 0) fail("{}: the log's first line, the header, is missing", source);
  log.cut_short = !text.empty();
  return log;
}

RegressionLog read_regression_log(const std::filesystem::path& path) {
  return parse_regression_log(as_text(read_file(path)), path.string());
}

RegressionLog recertified(RegressionLog log, const OutputOptions& options,
                          std::optional<double> radius, std::optional<double> move) {
  check_output_options(options, log.header.output, log.header.calibration);
  log.header.options = options;
  log.header.radius = radius;
  log.header.move = move;
  std::ranges::sort(log.records, {}, &RegressionRecord::image);
  for (RegressionRecord& record : log.records) derive(log.header, record);
  return log;
}

}  // namespace pixeldp
