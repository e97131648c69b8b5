#include "pixeldp/attacks/attack_log.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "engine/error.hpp"

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
               {"size", o.size ? Json(*o.size) : Json()},
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
               {"against_certified", o.certified ? Json(*o.certified) : Json()},
               {"check_draws", o.check_draws},
               {"judge_draws", o.judge_draws},
               {"seed", o.seed},
               {"model_sha256", header.model_sha256},
               {"dataset", header.dataset},
               {"dataset_sha256", header.dataset_sha256},
               {"split", header.split},
               {"mechanism", name(header.calibration.mechanism)},
               {"noise_scale", header.calibration.noise_scale},
               {"noise_at_certification", header.noise_at_certification},
               {"precision", header.function.precision},
               {"residual_precision", header.function.residual_precision},
               {"algorithm", header.function.algorithm}};
  if (o.certified) {
    json.update({{"bound", name(o.certificate.bound)},
                 {"certificate", name(o.certificate.kind)},
                 {"alpha", o.certificate.alpha},
                 {"sensitivity", header.calibration.sensitivity},
                 {"variation", header.calibration.variation},
                 {"prefix_error", header.calibration.prefix_error}});
  }
  if (header.calibration.lattice_step > 0.0) json["lattice_step"] = header.calibration.lattice_step;
  return json;
}

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
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

template <class Value>
std::optional<Value> optional_of(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<Value>());
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
  return record;
}

}  // namespace

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
