#include "pixeldp/attacks/attack_log.hpp"

#include <fstream>
#include <utility>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "pixeldp/log_json.hpp"

namespace pixeldp {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* outcome_keys[outcomes] = {"right_certified", "right", "wrong",
                                                "wrong_certified"};

Json to_json(const AttackLogHeader& header) {
  const AttackOptions& o = header.options;
  Json json = {{"format_version", AttackLogHeader::format_version},
               {"attack", name(o.kind)},
               {"norm", name(o.norm)},
               {"size", or_null(o.size)},
               {"certificates_sha256",
                header.certificates_sha256.empty() ? Json() : Json(header.certificates_sha256)},
               {"steps", o.steps},
               {"step", o.step},
               {"restarts", o.restarts},
               {"searches", o.searches},
               {"warm_start", o.warm_start},
               {"draws", o.draws},
               {"loss", name(o.loss)},
               {"targeted", o.targeted},
               {"against_certified", or_null(o.certified)},
               {"check_draws", o.check_draws},
               {"judge_draws", o.judge_draws},
               {"seed", o.seed},
               {"model_sha256", header.model_sha256},
               {"dataset", header.dataset},
               {"dataset_sha256", header.dataset_sha256},
               {"split", header.split},
               {"mechanism", name(header.calibration.mechanism)},
               {"noise_scale", header.calibration.noise_scale},
               {"noise_at_certification", header.noise_at_certification}};
  json.update(function_keys(header.function));
  if (o.certified) {
    json.update({{"bound", name(o.certificate.bound)},
                 {"certificate", name(o.certificate.kind)},
                 {"alpha", o.certificate.alpha},
                 {"sensitivity", header.calibration.sensitivity},
                 {"variation", header.calibration.variation},
                 {"prefix_error", header.calibration.prefix_error}});
  }
  if (o.rate != AttackOptions().rate) json["rate"] = o.rate;
  if (header.calibration.lattice_step > 0.0) json["lattice_step"] = header.calibration.lattice_step;
  return json;
}

Json to_json(const AttackRecord& record) {
  Json json = {{"image", record.image},
               {"label", record.label},
               {"target", or_null(record.target)},
               {"size", or_null(record.size)},
               {"clean_prediction", record.clean_prediction()},
               {"clean_counts", record.clean_votes},
               {"success", record.distance.has_value()}};
  if (record.distance) {
    json.update({{"distance", *record.distance},
                 {"restart", record.restart},
                 {"prediction", statistics_of_votes(record.votes).top_label(ScoreType::argmax)},
                 {"counts", record.votes}});
  }
  Json nearest;
  for (std::size_t i = 0; i < outcomes; ++i)
    if (record.nearest[i]) nearest[outcome_keys[i]] = *record.nearest[i];
  if (!nearest.is_null()) json["nearest"] = nearest;
  return json;
}

AttackRecord record_of(const Json& json) {
  AttackRecord record{.image = json.at("image"),
                      .label = json.at("label"),
                      .target = optional_of<int>(json.at("target")),
                      .size = optional_of<double>(json.at("size")),
                      .clean_votes = json.at("clean_counts")};
  if (record.clean_votes.empty()) fail("clean_counts is empty");
  if (json.at("success").get<bool>()) {
    record.distance = json.at("distance").get<double>();
    record.restart = json.at("restart").get<std::int64_t>();
    record.votes = json.at("counts").get<std::vector<std::uint64_t>>();
    if (record.votes.size() != record.clean_votes.size()) fail("counts are of other classes");
  }
  for (std::size_t i = 0; i < outcomes && json.contains("nearest"); ++i)
    if (json["nearest"].contains(outcome_keys[i]))
      record.nearest[i] = json["nearest"][outcome_keys[i]].get<double>();
  if (record.image < 0 || record.label < 0 || record.label >= std::ssize(record.clean_votes))
    fail("image {} with label {} of {} classes", record.image, record.label,
         record.clean_votes.size());
  check_written_alike(to_json(record), json);
  return record;
}

AttackOptions options_of(const Json& json) {
  AttackOptions o{.kind = parse_attack_kind(json.at("attack").get<std::string>()),
                  .norm = parse_attack_norm(json.at("norm").get<std::string>()),
                  .size = optional_of<double>(json.at("size")),
                  .steps = json.at("steps"),
                  .step = json.at("step"),
                  .restarts = json.at("restarts"),
                  .searches = json.at("searches"),
                  .rate = json.value("rate", AttackOptions().rate),
                  .warm_start = json.at("warm_start"),
                  .draws = json.at("draws"),
                  .loss = parse_draws_loss(json.at("loss").get<std::string>()),
                  .targeted = json.at("targeted"),
                  .certified = optional_of<double>(json.at("against_certified"))};
  o.check_draws = json.at("check_draws");
  o.judge_draws = json.at("judge_draws");
  o.seed = json.at("seed");
  return o;
}

void read_header(const std::string& text, AttackLogContents& log) {
  const Json json = Json::parse(text);
  if (const int version = json.at("format_version"); version != AttackLogHeader::format_version)
    fail("format {}, where this program knows {}", version, AttackLogHeader::format_version);
  log.header = text;
  log.options = options_of(json);
  log.dataset = json.at("dataset");
  log.split = json.at("split");
}

}  // namespace

std::vector<AttackRecord> AttackLogContents::records() const {
  std::vector<AttackRecord> all;
  for (const Line& line : lines) all.push_back(line.record);
  return all;
}

bool is_attack_log(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  std::getline(file, line);
  const Json json = Json::parse(line, nullptr, false);
  return json.is_object() && json.contains("attack") && json.contains("against_certified");
}

AttackLogContents read_attack_log(const std::filesystem::path& path) {
  AttackLogContents log{.source = path.string()};
  const Bytes bytes = read_file(path);
  std::string_view text = as_text(bytes);
  std::map<std::int64_t, std::size_t> numbers;
  std::size_t number = 0;
  for (std::size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    ++number;
    const std::string line(text.substr(0, end));
    try {
      if (number == 1)
        read_header(line, log);
      else
        log.lines.push_back({line, number, record_of(Json::parse(line))});
    } catch (const std::exception& error) {
      fail("{}:{}: not a line of an attack log: {}", log.source, number, error.what());
    }
    if (number == 1) continue;
    const std::int64_t image = log.lines.back().record.image;
    if (const auto [at, is_new] = numbers.emplace(image, number); !is_new)
      fail("{}:{}: image {} is on line {} already", log.source, number, image, at->second);
  }
  if (number == 0) fail("{}: an attack log without a first line", log.source);
  if (!text.empty()) log.cut = number + 1;
  return log;
}

MergedAttackLog merge_attack_logs(std::span<const AttackLogContents> parts) {
  if (parts.empty()) fail("there are no attack logs to merge");
  const AttackLogContents& model = parts.front();
  MergedAttackLog merged{.log = {.source = {},
                                 .header = model.header,
                                 .dataset = model.dataset,
                                 .split = model.split,
                                 .options = model.options}};
  std::map<std::int64_t, std::pair<const AttackLogContents*, const AttackLogContents::Line*>> found;
  for (const AttackLogContents& part : parts) {
    const std::string other =
        ImageLog::difference(Json::parse(model.header), Json::parse(part.header));
    if (!other.empty()) {
      fail("{} and {} cannot be merged, they were made under other conditions (in this order):{}",
           model.source, part.source, other);
    }
    for (const AttackLogContents::Line& line : part.lines) {
      const auto [at, is_new] = found.try_emplace(line.record.image, &part, &line);
      if (is_new) continue;
      const auto [there, same] = at->second;
      if (same->text != line.text) {
        fail("{}:{}: image {} has another line than in {}:{}: one of the logs was changed",
             part.source, line.number, line.record.image, there->source, same->number);
      }
      ++merged.repeated;
    }
  }
  for (const auto& [image, where] : found) merged.log.lines.push_back(*where.second);
  return merged;
}

void write_attack_log(const std::filesystem::path& path, const AttackLogContents& log) {
  if (std::filesystem::exists(path))
    fail("{}: the file exists already; choose another name, or move it away", path.string());
  std::string text = log.header + '\n';
  for (const AttackLogContents::Line& line : log.lines) text += line.text + '\n';
  write_file_atomically(path, text);
}

int AttackRecord::clean_prediction() const {
  return statistics_of_votes(clean_votes).top_label(ScoreType::argmax);
}

AttackLog::AttackLog(std::filesystem::path path, const AttackLogHeader& header, bool resume)
    : log_(std::move(path), to_json(header), resume, [this](const Json& line) {
        AttackRecord record = record_of(line);
        const std::int64_t image = record.image;
        records_.emplace(image, std::move(record));
        return image;
      }) {}

void AttackLog::append(AttackRecord record) {
  log_.append(to_json(record));
  const std::int64_t image = record.image;
  records_.emplace(image, std::move(record));
}

}  // namespace pixeldp
