#include <algorithm>

#include "engine/buffer.hpp"
#include "kernels/bounds.hpp"
#include "pixeldp/certifying.hpp"

namespace pixeldp {

/// [images, classes] each, or [images], on the device.
class DeviceBounds::Arrays {
 public:
  Arrays(const Stream& stream, std::int64_t images, std::int64_t classes)
      : images_(images),
        classes_(classes),
        draws_(stream.device(), images),
        votes_(stream.device(), images * classes),
        sums_(stream.device(), images * classes),
        squares_(stream.device(), images * classes),
        bad_image_(stream.device(), 1),
        selected_(stream.device(), images),
        certificates_(stream.device(), images) {}

  bool hold(std::int64_t images, std::int64_t classes) const {
    return images <= images_ && classes == classes_;
  }

  std::vector<kernels::BoundedPrediction> certify(const Stream& stream,
                                                  const kernels::BoundsParams& params,
                                                  std::span<const SampledImage> images) {
    std::vector<std::uint64_t> draws, votes, sums, squares;
    std::vector<std::int64_t> selected;
    const auto append = [](std::vector<std::uint64_t>& all, const std::vector<std::uint64_t>& one) {
      all.insert(all.end(), one.begin(), one.end());
    };
    for (const SampledImage& image : images) {
      draws.push_back(image.statistics.draws);
      append(votes, image.statistics.votes);
      append(sums, image.statistics.sums);
      append(squares, image.statistics.squares);
      if (image.selected) selected.push_back(*image.selected);
    }
    draws_.upload(stream, draws);
    votes_.upload(stream, votes);
    sums_.upload(stream, sums);
    squares_.upload(stream, squares);
    selected_.upload(stream, selected);
    bad_image_.upload(stream, {{kernels::no_bad_image}});
    kernels::bound_predictions(stream, params,
                               {.draws = draws_.data(),
                                .votes = votes_.data(),
                                .sums = sums_.data(),
                                .squares = squares_.data(),
                                .selected = selected.empty() ? nullptr : selected_.data()},
                               certificates_.data(), bad_image_.data());
    std::vector<kernels::BoundedPrediction> certificates(images.size());
    certificates_.download(stream, certificates);
    std::uint64_t bad_image = kernels::no_bad_image;
    bad_image_.download(stream, {&bad_image, 1});
    kernels::check_bad_image(bad_image, params);
    return certificates;
  }

 private:
  std::int64_t images_, classes_;
  Buffer<std::uint64_t> draws_, votes_, sums_, squares_, bad_image_;
  Buffer<std::int64_t> selected_;
  Buffer<kernels::BoundedPrediction> certificates_;
};

DeviceBounds::DeviceBounds(const Device& device, const Calibration& calibration,
                           const CertificateOptions& options)
    : stream_(device), calibration_(calibration), options_(options) {}

DeviceBounds::~DeviceBounds() = default;

std::vector<kernels::BoundedPrediction> DeviceBounds::certify(
    std::span<const SampledImage> images) {
  if (images.empty()) return {};
  const auto count = std::ssize(images);
  const std::int64_t classes = images.front().statistics.classes();
  constexpr std::int64_t fewest = 64;  // or memory would be taken anew whenever one more has come
  if (!arrays_ || !arrays_->hold(count, classes))
    arrays_ = std::make_unique<Arrays>(stream_, std::max(2 * count, fewest), classes);
  return arrays_->certify(stream_, bounds_params(calibration_, options_, count, classes), images);
}

}  // namespace pixeldp
