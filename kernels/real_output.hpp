#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/device.hpp"
#include "kernels/loss.hpp"

namespace pixeldp::kernels {

/// What makes the output of a regression network, a real number, of the one value z of its last
/// layer: low + (high - low) u(z).
enum class OutputKind {
  sigmoid,    ///< u = 1 / (1 + e^-z): between low and high by its nature
  truncated,  ///< u = 1/2 + z, limited to 0 ... 1
  unbounded   ///< u = 1/2 + z
};
inline constexpr OutputKind output_kinds[] = {OutputKind::sigmoid, OutputKind::truncated,
                                              OutputKind::unbounded};

/// "sigmoid", "truncated", "unbounded".
std::string_view name(OutputKind kind);
OutputKind parse_output_kind(std::string_view text);

/// The range [low, high] holds all labels, and all outputs but those of an unbounded one, which may
/// leave it.
struct RealOutput {
  OutputKind kind = OutputKind::sigmoid;
  double low = 0.0, high = 1.0;

  bool bounded() const { return kind != OutputKind::unbounded; }
  double width() const { return high - low; }
  /// Of an output at place u of the range.
  double at(double u) const { return low + width() * u; }
  bool operator==(const RealOutput&) const = default;
};

/// What is wrong with a range, or empty: it takes finite numbers, rising, within a million of 0.
std::string fault(const RealOutput& output);

/// u(z), to the same bits on every processor.
double place_of(OutputKind kind, float z);

/// du / dz where the output has place u; of a truncated output as if it had no limits, beyond which
/// no gradient would be left.
double slope_of(OutputKind kind, double u);

/// The range is divided into so many steps of equal width.
inline constexpr int output_steps = 64;

/// What draws of a regression network add up to: integers, so that those of any split of the work
/// merge exactly. Outputs are limited to the range, and A+ = max(A, 0), A- = max(-A, 0).
struct OutputTotals {
  std::uint64_t positive = 0;          ///< sum of A+ / high in units of 2^-32 (score_unit)
  std::uint64_t positive_squares = 0;  ///< sum of its squares, likewise
  std::uint64_t negative = 0;          ///< sum of A- / -low
  std::uint64_t negative_squares = 0;
  /// Draws by the step of the range that their output lies in, from its lower end on; below the
  /// range counts as the first, and the last entry is of the upper end and above.
  std::array<std::uint64_t, output_steps + 1> counts = {};

  OutputTotals& operator+=(const OutputTotals& others);
  bool operator==(const OutputTotals&) const = default;
};

struct OutputStatisticsParams {
  std::int64_t rows = 0, width = 0;  ///< rows of features, and features of each
  RealOutput output = {};
};

/// The last dense layer, its output and what remains of it, in one pass.
///
///   z = weight . features[r] + bias,  totals[row_image[r]] += what its output adds
///
/// features [rows, width], weight [width], bias [1] or null; a negative row_image marks a row that
/// counts nowhere. totals [images] are added to, atomically. A row's part does not depend on the
/// others and is the same on every processor. Throws an Error that names a row whose z is not
/// finite; the totals are of no use then. On processors only: a usage error elsewhere.
void output_statistics(const Stream& stream, const OutputStatisticsParams& params,
                       const float* features, const float* weight, const float* bias,
                       const std::int64_t* row_image, OutputTotals* totals);

/// The loss of a regression network: the mean over the rows of (u - t)^2, t the place of the label
/// in the range, so that it does not depend on the label's unit; u without the limits of a
/// truncated output, which would let no gradient through. z, targets (labels), dz [rows]; dz
/// receives the gradient of the mean, and may be z. No row is a correct one. On processors only: a
/// usage error elsewhere.
LossResult squared_error(const Stream& stream, std::int64_t rows, const RealOutput& output,
                         const float* z, const float* targets, float* dz);

}  // namespace pixeldp::kernels
