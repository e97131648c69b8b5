#include "pixeldp/certificate_log.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "pixeldp/recertification.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;
using Wide = unsigned __int128;

// A record of a thousand classes takes some 40 kB; a line beyond this is not a record.
constexpr std::size_t longest_line = std::size_t{16} << 20;
// A line is an object of numbers, strings and flat lists.
constexpr int deepest_nesting = 2;

constexpr const char* unrecorded = "unrecorded";
constexpr std::string_view precisions[] = {unrecorded, "fp32", "bf16", "int8"};

/// Where a line stands, for messages.
struct Place {
  std::string_view source;
  std::size_t line = 0;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    pixeldp::fail("{}:{}: {}", source, line, fmt::format(format, std::forward<Args>(args)...));
  }
};

/// The object on one line, whose keys are taken one by one.
class Fields {
 public:
  Fields(const Place& place, std::string_view line) : place_(place) {
    if (line.size() > longest_line) {
      place.fail("the line holds {} bytes, more than a record can", line.size());
    }
    std::set<std::string> keys;
    const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
      using Event = Json::parse_event_t;
      if (depth >= deepest_nesting && (event == Event::object_start || event == Event::array_start))
        place.fail("lists are nested deeper than in any record");
      if (event == Event::key && depth == 1 && !keys.insert(value.get<std::string>()).second)
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
    if (!object_.contains(key) || !object_[key].is_null()) return number(key);
    take(key);
    return std::nullopt;
  }
  /// Of a key that older logs have not.
  bool boolean(const char* key, bool missing) {
    if (!object_.contains(key)) return missing;
    const Json& value = take(key);
    if (!value.is_boolean()) place_.fail("{} must be true or false, but is {}", key, shown(value));
    return value.get<bool>();
  }
  /// The parser reads an integer beyond 64 bits as a double, so that it is refused here.
  std::uint64_t count(const char* key) { return count(key, take(key)); }
  std::vector<std::uint64_t> counts(const char* key) {
    const Json& list = take(key);
    if (!list.is_array()) place_.fail("{} must be a list, but is {}", key, shown(list));
    std::vector<std::uint64_t> values;
    values.reserve(list.size());
    for (const Json& value : list) values.push_back(count(key, value));
    return values;
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

  const Place& place_;
  Json object_;
  std::set<std::string> taken_;
};

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// What is wrong with a header, or nothing.
std::optional<std::string> fault(const CertificateLogHeader& header) {
  if (!is_sha256(header.model_sha256)) return "model_sha256 must be 64 hexadecimal digits";
  if (header.dataset.empty()) return "dataset is empty";
  if (!is_sha256(header.dataset_sha256)) return "dataset_sha256 must be 64 hexadecimal digits";
  if (header.split != "train" && header.split != "test") {
    return fmt::format("split must be train or test, but is '{}'", header.split);
  }
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
  } catch (const Error& error) {
    return error.what();
  }
  if (!(header.options.alpha > 0 && header.options.alpha < 1)) {
    return fmt::format("alpha must lie between 0 and 1, but is {}", header.options.alpha);
  }
  if (std::ranges::find(precisions, header.precision) == std::end(precisions))
    return fmt::format("precision '{}' is unknown", header.precision);
  if (header.draws == 0) return "draws is 0";
  return std::nullopt;
}

/// Softmax scores are rounded to 2^-32 each and sum to 1 up to float rounding: sums that stray
/// further than a thousandth were not made by draws.
bool sums_match(const std::vector<std::uint64_t>& sums, std::uint64_t draws) {
  Wide total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  const Wide expected = Wide{draws} << 32;
  return (total > expected ? total - expected : expected - total) <= expected / 1000;
}

/// What is wrong with a record under its header, or nothing.
std::optional<std::string> fault(const CertificateLogHeader& header,
                                 const CertificateRecord& record) {
  const ScoreStatistics& statistics = record.statistics;
  const ScoreType scores = header.options.scores;
  if (record.image < 0) return fmt::format("image {} is negative", record.image);
  if (statistics.draws == 0) return "draws is 0";
  std::size_t classes = 0;
  if (scores == ScoreType::argmax) {
    classes = statistics.votes.size();
    Wide total = 0;
    for (const std::uint64_t votes : statistics.votes) total += votes;
    if (total != statistics.draws) {
      return fmt::format("the counts do not sum to the {} draws", statistics.draws);
    }
  } else {
    classes = statistics.sums.size();
    if (statistics.squares.size() != classes) {
      return fmt::format("{} sums, but {} squares", classes, statistics.squares.size());
    }
    for (std::size_t i = 0; i < classes; ++i) {
      if (statistics.squares[i] > statistics.sums[i]) {
        return fmt::format("the sum of squares of class {} exceeds its sum", i);
      }
    }
    if (!sums_match(statistics.sums, statistics.draws)) {
      return fmt::format("the sums do not match the {} draws", statistics.draws);
    }
  }
  // What is said of the log says the header's number.
  if (statistics.draws != header.draws || record.selection_draws != header.selection_draws) {
    return fmt::format("draws and selection_draws are {} and {}, but the header says {} and {}",
                       statistics.draws, record.selection_draws, header.draws,
                       header.selection_draws);
  }
  if (record.label < 0 || std::cmp_greater_equal(record.label, classes)) {
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

Json to_json(const CertificateLogHeader& header) {
  const Calibration& calibration = header.calibration;
  const auto of_construction = [&](double Construction::*value) {
    return calibration.construction ? Json((*calibration.construction).*value) : Json();
  };
  return {{"format_version", CertificateLogHeader::format_version},
          {"model_sha256", header.model_sha256},
          {"dataset", header.dataset},
          {"dataset_sha256", header.dataset_sha256},
          {"split", header.split},
          {"mechanism", name(calibration.mechanism)},
          {"noise_scale", calibration.noise_scale},
          {"noise_at_certification", header.noise_at_certification},
          {"epsilon", of_construction(&Construction::epsilon)},
          {"delta", of_construction(&Construction::delta)},
          {"construction_bound", of_construction(&Construction::bound)},
          {"attack_norm", name(calibration.attack_norm)},
          {"sensitivity", calibration.sensitivity},
          {"score_type", name(header.options.scores)},
          {"bound", name(header.options.bound)},
          {"certificate", name(header.options.kind)},
          {"alpha", header.options.alpha},
          {"precision", header.precision},
          {"seed", header.seed},
          {"draws", header.draws},
          {"selection_draws", header.selection_draws}};
}

/// All three numbers, or three times null. Logs of models without noise used to hold numbers that
/// said nothing.
std::optional<Construction> parse_construction(Fields& fields, Mechanism mechanism,
                                               const Place& place) {
  const auto epsilon = fields.number_or_null("epsilon");
  const auto delta = fields.number_or_null("delta");
  const auto bound = fields.number_or_null("construction_bound");
  if (epsilon.has_value() != bound.has_value() || delta.has_value() != bound.has_value())
    place.fail("epsilon, delta and construction_bound must all be numbers or all be null");
  if (!bound || mechanism == Mechanism::none) return std::nullopt;
  return Construction{.bound = *bound, .epsilon = *epsilon, .delta = *delta};
}

CertificateLogHeader parse_header(std::string_view line, const Place& place) {
  Fields fields(place, line);
  const std::uint64_t version = fields.count("format_version");
  if (version != CertificateLogHeader::format_version) {
    place.fail("the log has format version {}, this program reads version {}", version,
               CertificateLogHeader::format_version);
  }
  CertificateLogHeader header;
  header.model_sha256 = fields.text("model_sha256");
  header.dataset = fields.text("dataset");
  header.dataset_sha256 = fields.text("dataset_sha256");
  header.split = fields.text("split");
  header.calibration.mechanism = fields.named("mechanism", parse_mechanism);
  header.calibration.noise_scale = fields.number("noise_scale");
  header.noise_at_certification = fields.boolean("noise_at_certification", false);
  header.calibration.construction = parse_construction(fields, header.calibration.mechanism, place);
  header.calibration.attack_norm = fields.named("attack_norm", parse_attack_norm);
  header.calibration.sensitivity = fields.number("sensitivity");
  header.options.scores = fields.named("score_type", parse_score_type);
  header.options.bound = fields.named("bound", parse_bound);
  header.options.kind = fields.named("certificate", parse_certificate_kind);
  header.options.alpha = fields.number("alpha");
  header.precision = fields.text("precision", unrecorded);
  header.seed = fields.count("seed");
  header.draws = fields.count("draws");
  header.selection_draws = fields.count("selection_draws");
  fields.finish();
  if (const auto text = fault(header)) place.fail("{}", *text);
  return header;
}

CertificateRecord parse_record(const CertificateLogHeader& header, std::string_view line,
                               const Place& place) {
  Fields fields(place, line);
  if (fields.holds("format_version")) {
    place.fail(
        "a second header: logs are joined by 'pixeldp merge LOG... --output LOG', not by putting "
        "one after the other");
  }
  CertificateRecord record;
  record.image = fields.index<std::int64_t>("image");
  record.label = fields.index<int>("label");
  record.prediction = fields.index<int>("prediction");
  record.selection_draws = fields.count("selection_draws");
  record.statistics.draws = fields.count("draws");
  if (header.options.scores == ScoreType::argmax) {
    record.statistics.votes = fields.counts("counts");
  } else {
    record.statistics.sums = fields.counts("sums");
    record.statistics.squares = fields.counts("squares");
  }
  record.radius = fields.number("radius");
  fields.finish();
  if (const auto text = fault(header, record)) place.fail("{}", *text);
  return record;
}

bool holds_anything(const std::filesystem::path& path) {
  std::error_code none;
  return std::filesystem::is_regular_file(path, none) && std::filesystem::file_size(path, none) > 0;
}

}  // namespace

std::string CertificateLogHeader::difference(const CertificateLogHeader& other) const {
  const Json mine = to_json(*this);
  const Json theirs = to_json(other);
  std::string text;
  for (const auto& [key, value] : mine.items()) {
    if (value != theirs[key]) {
      text += fmt::format("{}{}: {} and {}", text.empty() ? "" : "\n", key, value.dump(),
                          theirs[key].dump());
    }
  }
  return text;
}

CertificateLog parse_certificate_log(std::string_view text, std::string_view source) {
  CertificateLog log;
  std::unordered_map<std::int64_t, std::size_t> line_of_image;
  Place place{source, 0};
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    if (++place.line == 1) {
      log.header = parse_header(line, place);
      continue;
    }
    CertificateRecord record = parse_record(log.header, line, place);
    const auto [first, is_new] = line_of_image.emplace(record.image, place.line);
    if (!is_new) place.fail("image {} is on line {} already", record.image, first->second);
    if (!log.records.empty() &&
        log.records.front().statistics.classes() != record.statistics.classes()) {
      place.fail("{} classes, but the lines before have {}", record.statistics.classes(),
                 log.records.front().statistics.classes());
    }
    log.records.push_back(std::move(record));
  }
  if (place.line == 0) {
    fail("{}: the certificate log is {}: its first line, the header, is missing", source,
         text.empty() ? "empty" : "cut short");
  }
  log.cut_short = !text.empty();
  return log;
}

CertificateLog read_certificate_log(const std::filesystem::path& path) {
  CertificateLog log = parse_certificate_log(as_text(read_file(path)), path.string());
  derive_radii(log, path.string());
  return log;
}

void CertificateLogWriter::open(std::ios::openmode mode) {
  file_.open(path_, mode | std::ios::binary);
  if (!file_) fail("{}: cannot open the certificate log for writing", path_.string());
}

void CertificateLogWriter::write_line(const std::string& line) {
  file_ << line << '\n' << std::flush;
  if (!file_) {
    fail(
        "{}: cannot write to the certificate log; is the disk full? What it holds is kept, and "
        "can be continued",
        path_.string());
  }
}

CertificateLogWriter CertificateLogWriter::create(const std::filesystem::path& path,
                                                  const CertificateLogHeader& header) {
  if (const auto text = fault(header)) fail("{}: {}", path.string(), *text);
  if (holds_anything(path)) {
    fail("{}: there is a certificate log already; continue it with --resume, or move it away",
         path.string());
  }
  CertificateLogWriter writer(path, header);
  writer.open(std::ios::trunc);
  writer.write_line(to_json(header).dump());
  return writer;
}

CertificateLogWriter CertificateLogWriter::resume(const std::filesystem::path& path,
                                                  const CertificateLogHeader& header) {
  const Bytes bytes = read_file(path);
  const std::string_view text = as_text(bytes);
  const std::size_t last = text.rfind('\n');
  if (last == std::string_view::npos) {
    std::filesystem::resize_file(path, 0);
    return create(path, header);
  }
  const CertificateLog log = parse_certificate_log(text, path.string());
  if (const std::string difference = log.header.difference(header); !difference.empty()) {
    fail(
        "{}: the log cannot be continued, it was made under other conditions (the log's first, "
        "yours second):\n{}",
        path.string(), difference);
  }
  CertificateLogWriter writer(path, header);
  for (const CertificateRecord& record : log.records) writer.images_.insert(record.image);
  if (last + 1 < text.size()) std::filesystem::resize_file(path, last + 1);
  writer.open(std::ios::app);
  return writer;
}

void CertificateLogWriter::append(const CertificateRecord& record) {
  if (contains(record.image)) {
    fail("{}: image {} is in the certificate log already", path_.string(), record.image);
  }
  write_line(certificate_line(header_, record));
  images_.insert(record.image);
}

void write_certificate_log(const std::filesystem::path& path, const CertificateLog& log) {
  if (const auto text = fault(log.header)) fail("{}: {}", path.string(), *text);
  if (holds_anything(path)) {
    fail("{}: the file exists already; choose another name, or move it away", path.string());
  }
  std::string text = to_json(log.header).dump() + '\n';
  for (const CertificateRecord& record : log.records)
    text += certificate_line(log.header, record) + '\n';
  write_file_atomically(path, text);
}

std::string certificate_line(const CertificateLogHeader& header, const CertificateRecord& record) {
  if (const auto text = fault(header, record)) fail("image {}: {}", record.image, *text);
  const ScoreStatistics& statistics = record.statistics;
  const std::string kept =
      header.options.scores == ScoreType::argmax
          ? fmt::format("\"counts\": [{}]", fmt::join(statistics.votes, ", "))
          : fmt::format("\"sums\": [{}], \"squares\": [{}]", fmt::join(statistics.sums, ", "),
                        fmt::join(statistics.squares, ", "));
  return fmt::format(
      "{{\"image\": {}, \"label\": {}, \"prediction\": {}, \"selection_draws\": {}, "
      "\"draws\": {}, {}, \"radius\": {}}}",
      record.image, record.label, record.prediction, record.selection_draws, statistics.draws, kept,
      format_radius_down(record.radius));
}

std::string format_radius_down(double radius) {
  if (!std::isfinite(radius) || radius < 0) {
    fail("a radius must be a finite number from 0 up, not {}", radius);
  }
  // All digits of the double, cut off after as few decimals as still name it: cutting rounds down.
  const std::string exact = fmt::format("{:.1074f}", radius + 0.0);  // + 0.0: no "-0"
  const std::size_t point = exact.find('.');
  for (std::size_t length = point; length <= exact.size(); ++length) {
    if (length == point + 1) continue;  // "0." is no number of JSON
    double value = 0.0;
    std::from_chars(exact.data(), exact.data() + length, value);
    if (value == radius) return exact.substr(0, length);
  }
  return exact;
}

}  // namespace pixeldp
