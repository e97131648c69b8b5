#pragma once

#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

/// Values side by side: pixel by pixel, or, as one pixel, whole rows after each other.
///   y[p] = x[0][p], x[1][p], ...   of as many channels each
class Concatenation : public RowOperation {
 public:
  /// Throws an Error for no pixels or no channels.
  Concatenation(std::int64_t pixels, std::vector<std::int64_t> channels);

  std::string_view name() const override { return "concatenation"; }
  std::vector<std::int64_t> input_sizes() const override;
  std::int64_t output_size() const override;
  void run(std::span<const float* const> x, float* y) const override;
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;
  std::int64_t pixels() const { return pixels_; }
  const std::vector<std::int64_t>& channels() const { return channels_; }

 private:
  std::int64_t pixels_;
  std::vector<std::int64_t> channels_;
};

/// Which values of a row become which others: cuts, frames, permutations, repetitions.
///
///   y[p, c] = x[pixels[p] * in_channels + channels[c]], or fill where one of both is `none`
struct SelectionMap {
  static constexpr std::int64_t none = -1;

  std::int64_t in_pixels = 1, in_channels = 1;
  std::vector<std::int64_t> pixels = {}, channels = {};
  float fill = 0.0f;

  bool operator==(const SelectionMap&) const = default;
};

class Selection : public RowOperation {
 public:
  /// Throws an Error for a pixel or channel that is not there, and for an empty result.
  explicit Selection(SelectionMap map);

  std::string_view name() const override { return "selection of values"; }
  std::vector<std::int64_t> input_sizes() const override {
    return {map_.in_pixels * map_.in_channels};
  }
  std::int64_t output_size() const override {
    return std::ssize(map_.pixels) * std::ssize(map_.channels);
  }
  void run(std::span<const float* const> x, float* y) const override;
  void backward(std::span<const float* const> x, const float* y, const float* dy,
                std::span<float* const> dx) const override;
  const SelectionMap& map() const { return map_; }

 private:
  SelectionMap map_;
};

}  // namespace pixeldp::kernels
