#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/device.hpp"
#include "engine/error.hpp"
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

/// Throws a usage error for a share that is none.
void check_share(const VerificationOptions& options);

/// The share of a log's records that is drawn again, by image. Throws an Error where the data set
/// has no such image.
template <class Record>
std::map<std::int64_t, const Record*> chosen_records(const std::vector<Record>& records,
                                                     const Dataset& dataset,
                                                     const VerificationOptions& options) {
  std::vector<const Record*> all, chosen;
  for (const Record& record : records) all.push_back(&record);
  const auto wanted = std::ceil(options.fraction * static_cast<double>(all.size()));
  std::mt19937_64 random(options.choice);
  std::ranges::sample(all, std::back_inserter(chosen), static_cast<std::ptrdiff_t>(wanted), random);
  std::map<std::int64_t, const Record*> by_image;
  for (const Record* record : chosen) {
    if (record->image >= dataset.size())
      fail("image {} of the log is not among the {} of {}", record->image, dataset.size(),
           dataset.name);
    by_image.emplace(record->image, record);
  }
  return by_image;
}

/// The algorithm that a log's function takes on a device: only in fp32 on processors does it change
/// the function.
std::optional<kernels::Algorithm> algorithm_of(const BodyFunction& function, const Device& device);

/// Draws a random share of a log's images again: its predictions and every integer must come out.
/// Throws an Error with the names of all that differs where model, data or the device's function
/// are not the log's, for a log whose counts this program did not draw, and an Interruption.
Verification verify(const CertificateLog& log, const Model& model, const std::string& model_sha256,
                    const Dataset& dataset, const VerificationOptions& options);

/// The probability that a change of one line is not among so many images of a log that were chosen
/// at random.
double chance_to_escape(std::size_t checked, std::size_t images);

}  // namespace pixeldp
