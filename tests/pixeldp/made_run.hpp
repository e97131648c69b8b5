#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <fmt/format.h>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp::tests {

/// What a made-up run looks like. Nothing is trained: scores are drawn from a law that looks like
/// that of a classifier, and certified by the real certificates.
struct MadeRun {
  Mechanism mechanism = Mechanism::gaussian;
  CertificateKind kind = CertificateKind::pixeldp;
  ScoreType scores = ScoreType::argmax;
  std::string dataset = "fashion-mnist";
  double construction_bound = 0.1;
  double skill = 2.0;  ///< larger: surer and more often right
  int images = 200;
  int classes = 10;
  std::uint64_t draws = 300;
  std::uint64_t selection_draws = 0;
  unsigned seed = 1;
};

inline CertificateLogHeader made_header(const MadeRun& made) {
  CertificateLogHeader header;
  header.model_sha256 = std::string(63, 'a') + std::to_string(made.seed % 10);
  header.dataset = made.dataset;
  header.dataset_sha256 = std::string(64, made.dataset[0] == 'f' ? 'f' : '0');
  header.split = "test";
  Calibration& calibration = header.calibration;
  calibration.mechanism = made.mechanism;
  if (made.mechanism != Mechanism::none) {
    const bool laplace = made.mechanism == Mechanism::laplace;
    calibration.attack_norm = laplace ? AttackNorm::l1 : AttackNorm::l2;
    calibration.construction = {.bound = made.construction_bound};
    calibration.sensitivity = 1.0;
    calibration.noise_scale =
        noise_scale_for(made.mechanism, made.construction_bound, 1.0, 0.05, 1.0);
  }
  header.options.scores = made.scores;
  header.options.kind = made.kind;
  header.options.bound =
      made.scores == ScoreType::argmax ? Bound::clopper_pearson : Bound::empirical_bernstein;
  header.draws = made.draws;
  header.selection_draws = made.selection_draws;
  if (made.selection_draws > 0) header.selected_by = made.scores;
  header.seed = made.seed;
  if (made.mechanism != Mechanism::none) header.ledger = only_look(header.options, made.draws);
  return header;
}

inline CertificateRecord made_record(const MadeRun& made, const CertificateLogHeader& header,
                                     std::int64_t image, std::mt19937_64& random) {
  CertificateRecord record;
  record.image = image;
  record.label = static_cast<int>(image * 7 % made.classes);
  // Expected scores: a softmax of normal logits, the true label's raised by the skill.
  std::normal_distribution<double> normal;
  std::vector<double> scores;
  const double raised = made.skill + made.skill * 0.8 * normal(random);
  for (int label = 0; label < made.classes; ++label) {
    scores.push_back(std::exp((label == record.label ? raised : 0.0) + normal(random)));
  }
  ScoreStatistics& statistics = record.statistics;
  statistics.draws = made.draws;
  statistics.votes.assign(scores.size(), 0);
  std::discrete_distribution<std::size_t> vote(scores.begin(), scores.end());
  for (std::uint64_t draw = 0; draw < made.draws; ++draw) ++statistics.votes[vote(random)];
  // Scores that put 95 % on the vote.
  const double unit = 0x1p32;
  const double rest = 0.05 / (made.classes - 1);
  for (const std::uint64_t votes : statistics.votes) {
    const auto won = static_cast<double>(votes);
    const double lost = static_cast<double>(made.draws) - won;
    statistics.sums.push_back(static_cast<std::uint64_t>(unit * (0.95 * won + rest * lost)));
    statistics.squares.push_back(
        static_cast<std::uint64_t>(unit * (0.95 * 0.95 * won + rest * rest * lost)));
  }
  std::optional<int> selected;
  if (made.selection_draws > 0) selected = statistics.top_label(made.scores);
  record.selection_draws = made.selection_draws;
  if (made.mechanism == Mechanism::none) {
    record.prediction = statistics.top_label(made.scores);
    return record;
  }
  const Certificate certificate = certify(statistics, header.calibration, header.options, selected);
  record.prediction = certificate.prediction;
  record.radius = certificate.radius;
  return record;
}

/// Writes certificates.jsonl, training.csv and config.yaml into a folder, which is made.
inline void write_made_run(const std::filesystem::path& folder, const MadeRun& made) {
  std::filesystem::create_directories(folder);
  std::mt19937_64 random(made.seed);
  const CertificateLogHeader header = made_header(made);
  CertificateLogWriter writer = CertificateLogWriter::create(folder / "certificates.jsonl", header);
  for (int image = 0; image < made.images; ++image) {
    writer.append(made_record(made, header, image, random));
  }
  std::ofstream training(folder / "training.csv");
  training << "step,learning_rate,noise_factor,loss,train_accuracy,test_accuracy,sensitivity,"
              "seconds\n";
  std::normal_distribution<double> normal;
  for (int step = 50; step <= 4000; step += 50) {
    const double progress = 1 - std::exp(-step / 700.0);
    const double accuracy = 0.1 + 0.2 * std::sqrt(made.skill) * progress * 2;
    training << fmt::format("{},0.1,1,{:.5f},{:.4f},{},1.0,{:.2f}\n", step,
                            2.3 - 1.7 * progress + 0.06 * normal(random),
                            std::min(1.0, accuracy + 0.02 + 0.01 * normal(random)),
                            step % 500 == 0 ? fmt::format("{:.4f}", std::min(1.0, accuracy)) : "",
                            step * 0.05);
  }
  std::ofstream(folder / "config.yaml") << fmt::format(
      "network: {{architecture: mnist-cnn}}\nnoise: {{mechanism: {}}}\n", name(made.mechanism));
}

}  // namespace pixeldp::tests
