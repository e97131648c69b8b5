#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/dataset.hpp"
#include "pixeldp/attacks/attack.hpp"
#include "pixeldp/attacks/ball.hpp"
#include "pixeldp/image_gradients.hpp"
#include "pixeldp/regression/output_sampler.hpp"
#include "pixeldp/regression/regression_log.hpp"

namespace pixeldp {

// Attacks on regression networks look near an image for the pictures whose prediction is largest
// and smallest, by gradients of the mean output of many draws.

/// The attack that is usual: usual_attack with two starts, for no success ends the search.
AttackOptions usual_output_attack(AttackKind kind, AttackNorm norm, std::optional<double> size,
                                  bool noisy);

/// Throws a usage error for what makes no sense (check_attack), and for cw, which looks for the
/// nearest picture of another label.
void check_output_attack(const AttackOptions& options, std::int64_t values,
                         const Calibration& calibration, bool radii);

/// A picture, and what draws that no attack sees left of it.
struct JudgedPicture {
  double distance = 0.0;      ///< from the image, in the norm of the attack
  std::int64_t restart = -1;  ///< that found it; -1: it is the image itself
  OutputStatistics statistics = {};
};

/// What an attack made of an image.
struct OutputAttackRecord {
  std::int64_t image = 0;
  double label = 0.0, size = 0.0;                ///< how far pictures could be
  JudgedPicture clean = {}, up = {}, down = {};  ///< the image, and where its prediction went
};

/// A record with its pictures, [H, W, C] as the network takes them.
struct AttackedOutput {
  OutputAttackRecord record = {};
  std::vector<float> up = {}, down = {};
};

class OutputAttack {
 public:
  /// The model, of a regression network, must outlive it. `body` says how the draws of checks and
  /// of the judge are computed after the noise; gradients are fp32's.
  OutputAttack(Model& model, const AttackOptions& options, const Device& device,
               const BodyPrecision& body);

  /// Images, each within its size. What becomes of one depends on that image and the options only.
  std::vector<AttackedOutput> run(const Dataset& dataset, std::span<const std::int64_t> images,
                                  std::span<const double> sizes);

  PixelRange pixels() const { return {static_cast<float>(model_.pixel_shift)}; }
  std::uint64_t gradient_rows() const { return gradient_rows_; }
  std::uint64_t draws() const { return draws_; }  ///< of checks and of the judge

 private:
  struct Batch;
  /// Looks at pictures of the batch by draws that no gradient sees, and keeps the best.
  void check(Batch& batch, const Tensor& pictures, std::int64_t restart);
  std::vector<OutputStatistics> draw(const Batch& batch, const Tensor& pictures,
                                     const DrawRange& draws);

  Model& model_;
  AttackOptions options_;
  Stream stream_;
  OutputSampler sampler_;
  ImageGradients gradients_;
  std::uint64_t gradient_rows_ = 0, draws_ = 0;
  bool said_ = false;
};

/// First line of the log: all that the lines after it depend on.
struct OutputAttackHeader {
  std::string model_sha256 = {}, dataset = {}, dataset_sha256 = {}, split = {};
  kernels::RealOutput output = {};
  Calibration calibration = {};
  BodyFunction function = {};  ///< what was judged
  AttackOptions options = {};
  std::string certificates_sha256 = {};  ///< of the log that attacks are held against; empty: none
};

/// Throws an Error where model and images do not fit each other, and what check_output_attack does.
OutputAttackHeader output_attack_header(const Model& model, const std::string& model_sha256,
                                        const Dataset& dataset, const AttackOptions& options,
                                        const Device& device, const BodyPrecision& body,
                                        bool radii);

/// Certificates that attacks are to be held against, by image.
struct OutputCertificatesUnderAttack {
  std::string sha256 = {};  ///< of the log
  RegressionLogHeader header = {};
  std::map<std::int64_t, RegressionRecord> records = {};

  /// How far from an image its certificate speaks of: the radius of the intervals, or that within
  /// which the prediction moves so far.
  double size_of(std::int64_t image) const;
};

/// Reads a log and throws an Error unless it is about what is attacked.
OutputCertificatesUnderAttack output_certificates_under_attack(const std::filesystem::path& path,
                                                               const OutputAttackHeader& attack);

/// By how much a record contradicts the certificate of its image, in the unit of the labels; 0: not
/// at all. All that is proved at the size of the attack is tested: no picture may leave the
/// interval, and none may be farther from the image's prediction than it can move. What a picture's
/// prediction is the judge's draws say, by the bounds of a certificate at 1e-6.
struct Contradiction {
  double by = 0.0;
  const JudgedPicture* picture = nullptr;  ///< of the record
};
Contradiction contradiction(const OutputAttackRecord& record, const RegressionLogHeader& header,
                            const RegressionRecord& certificate);

struct OutputAttackRun {
  Device device{};
  std::vector<std::int64_t> images = {};  ///< of the split
  std::int64_t batch = 0;                 ///< images attacked at a time; 0: what suits the device
  bool resume = false;
  const OutputCertificatesUnderAttack* certificates = nullptr;  ///< of all images; or none
  std::filesystem::path violations = {};  ///< a folder for what contradicts them
};

struct OutputAttackSummary {
  std::vector<OutputAttackRecord> records = {};  ///< of the images asked for, in their order
  std::uint64_t gradient_rows = 0, draws = 0;    ///< of this run
  double seconds = 0.0;
};

/// attack_dataset for a regression network: as that does, but that every image is attacked, and
/// that a picture that contradicts its certificate is saved with its pixels.
OutputAttackSummary attack_outputs(Model& model, const Dataset& dataset,
                                   const OutputAttackHeader& header, const BodyPrecision& body,
                                   const OutputAttackRun& run, const std::filesystem::path& path);

/// What attacks did, in the unit of the labels. Predictions are means of the judge's draws.
struct OutputAttackFigures {
  double mean_error = 0.0;                     ///< of the images as they are
  double mean_error_attacked = 0.0;            ///< of the worse of the two pictures
  double mean_move = 0.0, largest_move = 0.0;  ///< the farther of the two, over the images
};
OutputAttackFigures output_attack_figures(const OutputAttackHeader& header,
                                          std::span<const OutputAttackRecord> records);

/// Attacks held against certificates.
struct OutputSandwich {
  std::uint64_t images = 0;
  std::vector<std::int64_t> violations = {};           ///< images whose certificate is wrong
  std::uint64_t explained = 0;                         ///< by chance (explained_by_chance)
  double mean_certified_move = 0.0, mean_width = 0.0;  ///< proved at the sizes of the attacks

  bool holds() const { return violations.size() <= explained; }
};
OutputSandwich output_sandwich(const OutputCertificatesUnderAttack& certificates,
                               std::span<const OutputAttackRecord> records);

}  // namespace pixeldp
