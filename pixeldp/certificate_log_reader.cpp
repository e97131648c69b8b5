#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/io/file_kind.hpp"
#include "engine/named.hpp"
#include "pixeldp/certificate_log.hpp"
#include "pixeldp/certificate_log_check.hpp"
#include "pixeldp/log_place.hpp"
#include "pixeldp/recertification.hpp"
#include "pixeldp/regression/regression_log.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

// A record of a thousand classes takes some 40 kB; a line beyond this is not a record.
constexpr std::size_t longest_line = std::size_t{16} << 20;
// A record is an object of numbers, strings and flat lists; a header also has a list of objects.
constexpr int nesting_of_record = 2, nesting_of_header = 3;

/// The object on one line, whose keys are taken one by one.
class Fields {
 public:
  Fields(const LogPlace& place, std::string_view line, int deepest) : place_(place) {
    if (line.size() > longest_line) {
      place.fail("the line holds {} bytes, more than a record can", line.size());
    }
    std::vector<std::set<std::string>> keys(static_cast<std::size_t>(deepest) + 1);
    const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
      using Event = Json::parse_event_t;
      if (depth >= deepest && (event == Event::object_start || event == Event::array_start))
        place.fail("lists are nested deeper than in any record");
      const auto level = static_cast<std::size_t>(depth);
      if (event == Event::object_start) keys[level + 1].clear();
      if (event == Event::key && !keys[level].insert(value.get<std::string>()).second)
        place.fail("the key {} appears twice", value.dump());
      return true;
    };
    try {
      object_ = Json::parse(line, check);
    } catch (const Json::exception& error) {
      place.fail("the line is not JSON: {}", error.what());
    }
    if (!object_.is_object()) place.fail("the line is not a JSON object");
  }
  /// An object within one.
  Fields(const LogPlace& place, Json object) : place_(place), object_(std::move(object)) {
    if (!object_.is_object()) place.fail("a list of objects holds {}", shown(object_));
  }

  std::string text(const char* key) {
    const Json& value = take(key);
    if (!value.is_string()) place_.fail("{} must be a string, but is {}", key, shown(value));
    return value.get<std::string>();
  }
  /// Of a key that older logs have not.
  std::string text(const char* key, const char* missing) {
    return holds(key) ? text(key) : missing;
  }
  double number(const char* key) {
    const Json& value = take(key);
    if (!value.is_number()) place_.fail("{} must be a number, but is {}", key, shown(value));
    return value.get<double>();
  }
  /// Of a key that is null where there is no such number.
  std::optional<double> number_or_null(const char* key) {
    if (!is_null(key)) return number(key);
    take(key);
    return std::nullopt;
  }
  bool boolean(const char* key) {
    const Json& value = take(key);
    if (!value.is_boolean()) place_.fail("{} must be true or false, but is {}", key, shown(value));
    return value.get<bool>();
  }
  /// The parser reads an integer beyond 64 bits as a double, so that it is refused here.
  std::uint64_t count(const char* key) { return count(key, take(key)); }
  std::vector<std::uint64_t> counts(const char* key) {
    std::vector<std::uint64_t> values;
    for (const Json& value : list(key)) values.push_back(count(key, value));
    return values;
  }
  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> values;
    for (const Json& value : list(key)) {
      if (!value.is_string()) place_.fail("{} must hold strings, but holds {}", key, shown(value));
      values.push_back(value.get<std::string>());
    }
    return values;
  }
  const Json& list(const char* key) {
    const Json& value = take(key);
    if (!value.is_array()) place_.fail("{} must be a list, but is {}", key, shown(value));
    return value;
  }
  bool is_null(const char* key) const {
    const auto found = object_.find(key);
    return found != object_.end() && found->is_null();
  }
  /// Takes what must be null.
  void null(const char* key) {
    const Json& value = take(key);
    if (!value.is_null()) place_.fail("{} must be null, but is {}", key, shown(value));
  }
  template <typename Integer>
  Integer index(const char* key) {
    const std::uint64_t value = count(key);
    if (!std::in_range<Integer>(value)) place_.fail("{} is {}, out of range", key, value);
    return static_cast<Integer>(value);
  }
  /// A value of an enumeration, by the parser of its names.
  template <typename Parse>
  auto named(const char* key, Parse parse) {
    try {
      return parse(text(key));
    } catch (const Error& error) {
      place_.fail("{}: {}", key, error.what());
    }
  }
  bool holds(const char* key) const { return object_.contains(key); }
  /// Refuses what was not taken: a key that this version does not know may change the meaning.
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (!taken_.contains(key)) {
        place_.fail("unknown key {}: was the log written by a newer version?", Json(key).dump());
      }
    }
  }

 private:
  const Json& take(const char* key) {
    const auto found = object_.find(key);
    if (found == object_.end()) place_.fail("{} is missing", key);
    taken_.insert(key);
    return *found;
  }
  std::uint64_t count(const char* key, const Json& value) const {
    if (!value.is_number_unsigned()) {
      place_.fail("{} must hold integers from 0 to 2^64 - 1, but holds {}", key, shown(value));
    }
    return value.get<std::uint64_t>();
  }
  static std::string shown(const Json& value) {
    const std::string text = value.dump();
    return text.size() <= 60 ? text : text.substr(0, 60) + "...";
  }

  const LogPlace& place_;
  Json object_;
  std::set<std::string> taken_;
};

/// All three numbers, or three times null. Logs of models without noise used to hold numbers that
/// said nothing.
std::optional<Construction> parse_construction(Fields& fields, Mechanism mechanism,
                                               const LogPlace& place) {
  const auto epsilon = fields.number_or_null("epsilon");
  const auto delta = fields.number_or_null("delta");
  const auto bound = fields.number_or_null("construction_bound");
  if (epsilon.has_value() != bound.has_value() || delta.has_value() != bound.has_value())
    place.fail("epsilon, delta and construction_bound must all be numbers or all be null");
  if (!bound || mechanism == Mechanism::none) return std::nullopt;
  return Construction{.bound = *bound, .epsilon = *epsilon, .delta = *delta};
}

/// Older logs of format 1 name the precision alone, or nothing. That says all of fp32 and int8,
/// which only processors had; there were two functions in bf16.
BodyFunction parse_old_function(Fields& fields) {
  BodyFunction function{.precision = fields.text("precision", unrecorded)};
  const bool says_all = function.precision == "fp32" || function.precision == "int8";
  const BodyFunction missing =
      says_all ? BodyFunction() : BodyFunction{unrecorded, unrecorded, unrecorded};
  function.residual_precision =
      fields.text("residual_precision", missing.residual_precision.c_str());
  function.algorithm = fields.text("algorithm", missing.algorithm.c_str());
  return function;
}

KeptStatistics parse_statistics(Fields& fields, const LogPlace& place) {
  const std::vector<std::string> names = fields.texts("statistics");
  for (const KeptStatistics kept : all_kept_statistics)
    if (names == names_of(kept)) return kept;
  place.fail("statistics must be votes, or sums and squares, or all three, with histogram or not");
}

AlphaLedger parse_ledger(Fields& fields, const LogPlace& place) {
  AlphaLedger ledger;
  for (const Json& object : fields.list("ledger")) {
    Fields look(place, object);
    ledger.push_back({.draws = look.count("draws"),
                      .scores = look.named("score_type", parse_score_type),
                      .bound = look.named("bound", parse_bound),
                      .alpha = look.number("alpha")});
    look.finish();
  }
  return ledger;
}

/// A fixed number of draws has nothing to add to its name.
Stopping parse_stopping(Fields& fields) {
  Stopping stopping{.rule = fields.named("stopping", [](std::string_view text) {
    return value_named(text, "stopping rule", stopping_rules, name);
  })};
  if (stopping.rule == StoppingRule::fixed) return stopping;
  stopping.target = fields.number("target");
  stopping.at_last = fields.holds("futility_at_last");
  stopping.futility = fields.number(stopping.at_last ? "futility_at_last" : "futility");
  stopping.looks = fields.counts("looks");
  stopping.kind = fields.named("stopping_certificate", parse_certificate_kind);
  stopping.alpha = fields.number("stopping_alpha");
  return stopping;
}

/// What format 2 added to the header, where it comes after what format 1 has.
void parse_additions(Fields& fields, CertificateLogHeader& header, const LogPlace& place) {
  if (fields.is_null("selected_by")) {
    fields.null("selected_by");
  } else {
    header.selected_by = fields.named("selected_by", parse_score_type);
  }
  header.statistics = parse_statistics(fields, place);
  header.stopping = parse_stopping(fields);
  header.ledger = parse_ledger(fields, place);
}

KeptStatistics kept_in_format_1(ScoreType scores) {
  switch (scores) {
    case ScoreType::argmax:
      return {.votes = true, .sums = false};
    case ScoreType::softmax:
      return {.votes = false, .sums = true};
  }
  fail("not a score type: {}", static_cast<int>(scores));
}

/// A header, and by which format its lines are read.
struct ParsedHeader {
  CertificateLogHeader header;
  bool format_1 = false;
};

ParsedHeader parse_header(std::string_view line, const LogPlace& place) {
  Fields fields(place, line, nesting_of_header);
  const std::uint64_t version = fields.count("format_version");
  if (version != 1 && version != 2) {
    place.fail("the log has format version {}, this program reads versions 1 and 2", version);
  }
  const bool format_1 = version == 1;
  CertificateLogHeader header;
  header.source =
      format_1 ? CountSource::format_1 : fields.named("source", [](std::string_view text) {
        return value_named(text, "source", count_sources, name);
      });
  header.model_sha256 = fields.text("model_sha256");
  if (!format_1 && fields.holds("classifier_sha256"))
    header.classifier_sha256 = fields.text("classifier_sha256");
  header.dataset = fields.text("dataset");
  header.dataset_sha256 = fields.text("dataset_sha256");
  header.split = fields.text("split");
  header.calibration.mechanism = fields.named("mechanism", parse_mechanism);
  header.calibration.noise_scale = fields.number("noise_scale");
  if (!format_1 || fields.holds("noise_at_certification"))
    header.noise_at_certification = fields.boolean("noise_at_certification");
  header.calibration.construction = parse_construction(fields, header.calibration.mechanism, place);
  header.calibration.attack_norm = fields.named("attack_norm", parse_attack_norm);
  header.calibration.sensitivity = fields.number("sensitivity");
  if (!format_1 && fields.holds("lattice_step"))
    header.calibration.lattice_step = fields.number("lattice_step");
  if (!format_1 && fields.holds("variation"))
    header.calibration.variation = fields.number("variation");
  if (!format_1 && fields.holds("prefix_error"))
    header.calibration.prefix_error = fields.number("prefix_error");
  header.options.scores = fields.named("score_type", parse_score_type);
  header.options.bound = fields.named("bound", parse_bound);
  header.options.kind = fields.named("certificate", parse_certificate_kind);
  if (!format_1 && fields.holds("top")) {
    header.options.top = fields.index<int>("top");
    if (header.options.top < 2)
      place.fail("top is {}: it stands where it is at least 2", header.options.top);
  }
  header.options.alpha = fields.number("alpha");
  header.function = format_1 ? parse_old_function(fields)
                             : BodyFunction{.precision = fields.text("precision"),
                                            .residual_precision = fields.text("residual_precision"),
                                            .algorithm = fields.text("algorithm")};
  if (is_foreign(header.source)) {
    fields.null("seed");
  } else {
    header.seed = fields.count("seed");
  }
  header.draws = fields.count("draws");
  header.selection_draws = fields.count("selection_draws");
  if (format_1) {
    header.statistics = kept_in_format_1(header.options.scores);
    if (header.selection_draws > 0) header.selected_by = header.options.scores;
  } else {
    parse_additions(fields, header, place);
  }
  fields.finish();
  if (const auto text = fault(header)) place.fail("{}", *text);
  return {header, format_1};
}

CertificateRecord parse_record(const ParsedHeader& of, std::string_view line,
                               const LogPlace& place) {
  const CertificateLogHeader& header = of.header;
  if (line.find("\"format_version\"") != line.npos) {
    place.fail(
        "a second header: logs are joined by 'pixeldp merge LOG... --output LOG', not by putting "
        "one after the other");
  }
  Fields fields(place, line, nesting_of_record);
  CertificateRecord record;
  record.image = fields.index<std::int64_t>("image");
  if (fields.is_null("label")) {
    fields.null("label");
  } else {
    record.label = fields.index<int>("label");
  }
  record.prediction = fields.index<int>("prediction");
  record.selection_draws = fields.count("selection_draws");
  record.statistics.draws = fields.count("draws");
  if (header.statistics.votes)
    record.statistics.votes = fields.counts(of.format_1 ? "counts" : "votes");
  if (header.statistics.sums) {
    record.statistics.sums = fields.counts("sums");
    record.statistics.squares = fields.counts("squares");
  }
  if (header.statistics.histogram) record.statistics.histogram = fields.counts("histogram");
  record.radius = fields.number("radius");
  if (!of.format_1) fields.text("chain");  // compared with the line itself
  fields.finish();
  if (const auto text = fault(header, record)) place.fail("{}", *text);
  return record;
}

}  // namespace

CertificateLog parse_certificate_log(std::string_view text, std::string_view source) {
  if (is_regression_log_text(text))
    fail_usage(
        "{}: this is the log of a regression network, and no labels were certified: recertify, "
        "verify, merge, attack and report read it, alone or with others of its kind",
        source);
  if (!text.empty() && text.front() != '{')
    fail("{}: this is not a certificate log{}", source,
         hint(file_kind(as_bytes(text.substr(0, 4096)))));
  CertificateLog log;
  ParsedHeader parsed;
  std::unordered_map<std::int64_t, std::size_t> line_of_image;
  LogPlace place{source, 0};
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    if (++place.line == 1) {
      parsed = parse_header(line, place);
      log.chain = LogChain(line);
      continue;
    }
    CertificateRecord record = parse_record(parsed, line, place);
    const auto [first, is_new] = line_of_image.emplace(record.image, place.line);
    if (!is_new) place.fail("image {} is on line {} already", record.image, first->second);
    if (!log.records.empty() &&
        log.records.front().statistics.classes() != record.statistics.classes()) {
      place.fail("{} classes, but the lines before have {}", record.statistics.classes(),
                 log.records.front().statistics.classes());
    }
    if (!parsed.format_1 && log.chain.line(LogChain::text_of(line)) != line) {
      place.fail(
          "image {}: the chain breaks here: this line, or something before it, is not as it was "
          "written",
          record.image);
    }
    log.records.push_back(std::move(record));
  }
  if (place.line == 0) {
    fail("{}: the certificate log is {}: its first line, the header, is missing", source,
         text.empty() ? "empty" : "cut short");
  }
  log.header = std::move(parsed.header);
  log.cut_short = !text.empty();
  return log;
}

CertificateLog read_certificate_log(const std::filesystem::path& path) {
  CertificateLog log = parse_certificate_log(as_text(read_file(path)), path.string());
  derive_radii(log, path.string());
  return log;
}

}  // namespace pixeldp
