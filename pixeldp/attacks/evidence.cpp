#include "pixeldp/attacks/evidence.hpp"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/io/file.hpp"
#include "engine/io/png_data_uri.hpp"
#include "pixeldp/attacks/sandwich.hpp"

namespace pixeldp {

void save_picture(const std::filesystem::path& folder, std::int64_t image, const Dataset& dataset,
                  std::span<const float> picture, PixelRange pixels) {
  Image rounded{
      .height = dataset.height, .width = dataset.width, .channels = dataset.channels, .pixels = {}};
  for (const float value : picture) {
    rounded.pixels.push_back(
        static_cast<std::uint8_t>(std::lround(255.0 * (double{value} - double{pixels.lowest}))));
  }
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / fmt::format("{}.png", image), encode_png(rounded));
}

void save_if_violation(const std::filesystem::path& folder,
                       const CertificatesUnderAttack& certificates, const AttackLogHeader& header,
                       const AttackRecord& record, const Dataset& dataset,
                       std::span<const float> picture, PixelRange pixels) {
  const auto found = certificates.records.find(record.image);
  if (found == certificates.records.end() || !violates(record, found->second)) return;
  save_picture(folder, record.image, dataset, picture, pixels);
  const nlohmann::ordered_json evidence = {
      {"image", record.image},
      {"label", record.label},
      {"certified_prediction", found->second.prediction},
      {"certified_radius", found->second.radius},
      {"norm", name(header.options.norm)},
      {"distance", record.distance.value_or(0.0)},
      {"seed", header.options.seed},
      {"judge_draws", header.options.judge_draws},
      {"counts", record.distance ? record.votes : record.clean_votes},
      {"certificates_sha256", certificates.sha256},
      {"model_sha256", header.model_sha256},
      {"pixels", std::vector<float>(picture.begin(), picture.end())}};
  write_file_atomically(folder / fmt::format("{}.json", record.image), evidence.dump() + "\n");
}

}  // namespace pixeldp
