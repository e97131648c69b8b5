#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/device.hpp"
#include "engine/io/dataset.hpp"
#include "pixeldp/certificate_log.hpp"
#include "pixeldp/model.hpp"

namespace pixeldp {

struct VerificationOptions {
  Device device{};
  double fraction = 0.01;    ///< of the log's images, rounded up to a whole number of them
  std::uint64_t choice = 0;  ///< which images: the seed that they are chosen by
  std::int64_t micro_batch = 0;
};

struct Verification {
  std::vector<std::int64_t> images;  ///< that were drawn again, ascending
  /// Of each image whose line is not what the draws give: "image 5: votes [..] in the log, [..]
  /// drawn".
  std::vector<std::string> differences;
  std::uint64_t draws = 0;  ///< evaluated
  double seconds = 0.0;     ///< spent on them
};

/// Draws a random share of a log's images again: its predictions and every integer must come out.
/// Throws an Error with the names of all that differs where model, data or the device's function
/// are not the log's, for a log whose counts this program did not draw, and an Interruption.
Verification verify(const CertificateLog& log, const Model& model, const std::string& model_sha256,
                    const Dataset& dataset, const VerificationOptions& options);

/// The probability that a change of one line is not among so many images of a log that were chosen
/// at random.
double chance_to_escape(std::size_t checked, std::size_t images);

}  // namespace pixeldp
