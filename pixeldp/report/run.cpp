#include "pixeldp/report/run.hpp"

#include <algorithm>
#include <limits>
#include <map>

#include "engine/error.hpp"
#include "engine/io/file.hpp"
#include "engine/text.hpp"
#include "pixeldp/recertification.hpp"
#include "pixeldp/report/agreement.hpp"

namespace pixeldp::report {
namespace {

namespace fs = std::filesystem;

/// The cells of a line of CSV, without blanks around them.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells = split(line, ',');
  for (std::string_view& cell : cells) {
    while (!cell.empty() && (cell.front() == ' ' || cell.front() == '\t')) cell.remove_prefix(1);
    while (!cell.empty() && (cell.back() == ' ' || cell.back() == '\t' || cell.back() == '\r')) {
      cell.remove_suffix(1);
    }
  }
  return cells;
}

std::optional<std::string> read_optional(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  return std::string(as_text(read_file(path)));
}

/// Whether the certificate cdf can be made of the log's predictions.
bool has_distribution(const CertificateLogHeader& header) {
  return header.statistics.histogram && header.options.scores == ScoreType::softmax &&
         header.options.top == 1 && header.calibration.mechanism == Mechanism::gaussian;
}

std::string last_part(const fs::path& folder) {
  return fs::weakly_canonical(folder).filename().string();
}

}  // namespace

Training parse_training(std::string_view text, std::string_view source) {
  Training training;
  std::map<std::string_view, std::vector<double>*> known = {
      {"step", &training.step},
      {"loss", &training.loss},
      {"train_accuracy", &training.train_accuracy},
      {"test_accuracy", &training.test_accuracy}};
  std::vector<std::vector<double>*> columns;  // null: of no interest here
  std::size_t number = 0;
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    const std::vector<std::string_view> cells = cells_of(text.substr(0, end));
    if (++number == 1) {
      for (const std::string_view cell : cells) {
        const auto found = known.find(cell);
        columns.push_back(found == known.end() ? nullptr : found->second);
        if (found != known.end()) known.erase(found);
      }
      continue;
    }
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (cells.size() > columns.size()) {
      fail("{}:{}: {} cells, but the first line names {} columns", source, number, cells.size(),
           columns.size());
    }
    for (const auto& [name, column] : known) {
      column->push_back(name == "step" ? static_cast<double>(number - 1)
                                       : std::numeric_limits<double>::quiet_NaN());
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i] == nullptr) continue;
      double value = std::numeric_limits<double>::quiet_NaN();
      if (i < cells.size() && !cells[i].empty()) {
        const auto given = parse_number<double>(cells[i]);
        if (!given)
          fail("{}:{}: '{}' in column {} is not a number", source, number, cells[i], i + 1);
        value = *given;
      }
      columns[i]->push_back(value);
    }
  }
  return training;
}

Run load_run(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    fail("{}: there is no such folder; name the folder of a run", folder.string());
  }
  const fs::path log = folder / "certificates.jsonl";
  if (!fs::exists(log)) {
    fail("{}: there is no certificate log; make one with: pixeldp certify {}", log.string(),
         folder.string());
  }
  Run run;
  run.name = last_part(folder);
  run.log = read_certificate_log(log);
  if (run.log.records.empty()) {
    fail(
        "{}: the certificate log holds no image yet; continue it with: pixeldp certify {} --resume",
        log.string(), folder.string());
  }
  const fs::path training = folder / "training.csv";
  if (const auto text = read_optional(training)) {
    run.training = parse_training(*text, training.string());
  }
  check_agreement(folder, run.log);
  run.config = read_optional(folder / "config.yaml");
  if (const fs::path model = folder / "model.safetensors"; fs::exists(model))
    run.model_sha256 = sha256_file(model);
  run.others = other_certificates(run.log);
  for (CertificateLog& other : run.others)
    other.records = records_of_labels(other.header, std::move(other.records));
  run.log.records = records_of_labels(run.log.header, std::move(run.log.records));
  return run;
}

std::vector<CertificateLog> other_certificates(const CertificateLog& log) {
  std::vector<CertificateLog> others;
  if (log.header.calibration.mechanism == Mechanism::none) return others;
  for (const CertificateKind kind :
       {CertificateKind::exact, CertificateKind::pixeldp, CertificateKind::cdf}) {
    CertificateOptions options = log.header.options;
    if (options.kind == kind) continue;
    if (kind == CertificateKind::cdf) {
      if (!has_distribution(log.header)) continue;
      options.bound = Bound::clopper_pearson;
    } else if (options.kind == CertificateKind::cdf) {
      options.bound = usual_bound(options.scores);
    }
    options.kind = kind;
    others.push_back(recertified(log, options));
  }
  return others;
}

std::vector<const CertificateLog*> all_certificates(const Run& run) {
  std::vector<const CertificateLog*> logs = {&run.log};
  for (const CertificateLog& other : run.others) logs.push_back(&other);
  std::ranges::stable_sort(logs, {}, [](const CertificateLog* log) {
    return log->header.options.kind != CertificateKind::exact;
  });
  return logs;
}

void find_images(std::vector<Run>& runs, const std::optional<std::string>& directory) {
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const Dataset>> sets;
  for (Run& run : runs) {
    const CertificateLogHeader& header = run.log.header;
    const auto [place, is_new] = sets.try_emplace({header.dataset, header.split});
    if (is_new) {
      try {
        place->second = std::make_shared<const Dataset>(load_dataset(
            header.dataset, header.split, find_dataset_directory(header.dataset, directory)));
      } catch (const Error&) {
        // Pictures are an extra: certificates need none.
      }
    }
    if (place->second && place->second->sha256() == header.dataset_sha256)
      run.images = place->second;
  }
}

std::vector<Run> load_runs(const std::vector<fs::path>& folders) {
  std::vector<Run> runs;
  for (const fs::path& folder : folders) runs.push_back(load_run(folder));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (fs::equivalent(folders[i], folders[j])) {
        fail_usage("the run {} is named twice", folders[i].string());
      }
    }
    const bool shared = std::ranges::any_of(folders, [&](const fs::path& other) {
      return &other != &folders[i] && last_part(other) == last_part(folders[i]);
    });
    if (shared) runs[i].name = folders[i].lexically_normal().string();
  }
  return runs;
}

bool has_noise(const Run& run) { return run.log.header.calibration.mechanism != Mechanism::none; }

double typical_attack(const Run& run) {
  const Calibration& calibration = run.log.header.calibration;
  return calibration.construction ? calibration.construction->bound
                                  : calibration.noise_scale / calibration.sensitivity / 2;
}

}  // namespace pixeldp::report
