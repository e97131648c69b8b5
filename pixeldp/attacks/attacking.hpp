#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/io/dataset.hpp"
#include "pixeldp/attacks/attack_log.hpp"
#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

/// Certificates that attacks are to be held against, by image.
struct CertificatesUnderAttack {
  std::string sha256;  ///< of the log
  CertificateLogHeader header;
  std::map<std::int64_t, CertificateRecord> records;
};

/// What certificates and the attacks that are held against them are about, by name.
using Subject = std::vector<std::pair<std::string_view, std::string>>;

/// Of the header of either's log, of any kind.
template <class Header>
Subject subject_of(const Header& h, AttackNorm norm) {
  return {{"model", h.model_sha256},
          {"data set", h.dataset},
          {"split", h.split},
          {"copy of the images", h.dataset_sha256},
          {"mechanism", std::string(name(h.calibration.mechanism))},
          {"noise scale", fmt::format("{}", h.calibration.noise_scale)},
          {"norm", std::string(name(norm))},
          {"precision", h.function.precision},
          {"precision between layers", h.function.residual_precision},
          {"algorithm", h.function.algorithm}};
}

/// Throws an Error that names the certificates' log and what differs, if anything does.
void check_subject(const std::filesystem::path& certificates, const Subject& certified,
                   const Subject& attacked);

/// Reads a log and throws an Error unless it is about what is attacked: the model, the images, the
/// noise and the function, by votes, in the norm of the attack.
CertificatesUnderAttack certificates_under_attack(const std::filesystem::path& path,
                                                  const AttackLogHeader& attack);

struct AttackRunOptions {
  Device device{};
  std::vector<std::int64_t> images;  ///< of the split
  std::int64_t batch = 0;            ///< images attacked at a time; 0: what suits the device
  bool resume = false;
  std::filesystem::path save;                             ///< a folder for pictures; empty: none
  const CertificatesUnderAttack* certificates = nullptr;  ///< of all images; or none
  std::filesystem::path violations;                       ///< a folder for what contradicts them
};

struct AttackSummary {
  std::vector<AttackRecord> records;  ///< of the images asked for, in their order
  std::uint64_t gradient_rows = 0;    ///< of this run: rows (image, draw) of all gradients
  std::uint64_t votes_cast = 0;
  double seconds = 0.0;
};

/// The header of attacks on this model and data set, which must fit each other. Throws an Error
/// where they do not, and for attacks that make no sense (check_attack). `radii`: certified
/// radii stand in for sizes. `sound`: votes are of noise on a lattice (on_lattice).
AttackLogHeader attack_header(const Model& model, const std::string& model_sha256,
                              const Dataset& dataset, const AttackOptions& options,
                              const Device& device, const BodyPrecision& body, bool radii,
                              bool sound = false);

/// Attacks images, some at a time, and appends a line for each to the log at `path`. The image
/// itself is judged first: one that the model gets wrong is not attacked, but for an attack on
/// certified predictions. Of the pictures that an attack found the judge then takes the nearest
/// that convinces it. With certificates, images are attacked within their radius where there is no
/// size, successes are brought nearer, and what contradicts a certificate is saved with its pixels.
///
/// Throws an Interruption when the process is interrupted, after the images in hand; `resume` goes
/// on from there.
AttackSummary attack_dataset(Model& model, const Dataset& dataset, const AttackLogHeader& header,
                             const BodyPrecision& body, const AttackRunOptions& options,
                             const std::filesystem::path& path);

/// How many images are attacked at a time, unless told otherwise: as many as fill a few blocks of
/// gradient rows, for with more an end of the process loses more.
std::int64_t usual_batch(const AttackOptions& options, const Device& device);

/// Attacks images without a log: the records of all, in their order.
std::vector<AttackRecord> attack_images(AttackedModel& model, const Dataset& dataset,
                                        std::span<const std::int64_t> images);

// What is said of attacks.

/// The share of images that the judge gets right.
double accuracy(std::span<const AttackRecord> records);

/// The share that it gets right and no picture at a distance of at most `size` succeeded on; none:
/// at any distance.
double accuracy_under_attack(std::span<const AttackRecord> records, std::optional<double> size);

/// What an attack on certified predictions leaves of them, as the paper counts: images on which it
/// succeeds (wrong), and images that are right and certified and for which it saw nothing else
/// within the size (right).
struct RobustPrecision {
  std::uint64_t right = 0, wrong = 0;

  std::optional<double> share() const {
    if (right + wrong == 0) return std::nullopt;
    return static_cast<double>(right) / static_cast<double>(right + wrong);
  }
};
RobustPrecision robust_precision(std::span<const AttackRecord> records, std::optional<double> size);

}  // namespace pixeldp
