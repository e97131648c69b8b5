#pragma once

#include <cstdint>

#include "engine/device.hpp"

namespace pixeldp::kernels {

/// Scores are summed as integers in units of 2^-32, so that sums from any split of the work merge
/// exactly.
inline constexpr double score_unit = 1.0 / 4294967296.0;

struct DrawStatisticsParams {
  std::int64_t rows = 0;   ///< rows of features
  std::int64_t width = 0;  ///< features of a row
  std::int64_t classes = 0;
};

/// The last dense layer, softmax and the statistics of its scores in one pass; neither logits nor
/// scores are written.
///
///   x = weight * features[r] + bias,  p = softmax(x),  i = row_image[r]
///   votes[i, argmax x] += 1        (the lowest index wins a tie)
///   sums[i, c]    += round(p_c * 2^32)
///   squares[i, c] += round(p_c^2 * 2^32)
///
/// features [rows, width], weight [classes, width], bias [classes] or null, row_image [rows]: a
/// negative entry marks a padding row that counts nowhere, whatever it holds. votes, sums, squares
/// [images, classes] are added to, atomically: several threads may add to the same arrays. A row's
/// result does not depend on the other rows, and is the same to the last bit on every instruction
/// set: x and exp(x_c - max x) are in single precision, the sum of the exponentials and all after
/// it in double precision, so one row adds to `sums` 2^32 to within classes / 2 + 1 units.
///
/// A row that counts and has a logit that is not finite adds nothing, but other rows of the call
/// are added, so the statistics of its images are of no use then. A processor throws an Error that
/// names the lowest such row; another device, which knows later, makes *bad_row (in its memory,
/// no_bad_row before) the lowest such row, for check_bad_row.
///
/// May be called from a parallel region; outside one, large calls use all threads. Throws an Error
/// for negative counts and no classes.
void draw_statistics(const Stream& stream, const DrawStatisticsParams& params,
                     const float* features, const float* weight, const float* bias,
                     const std::int64_t* row_image, std::uint64_t* votes, std::uint64_t* sums,
                     std::uint64_t* squares, std::uint64_t* bad_row = nullptr);

/// The value of *bad_row when no row was bad.
inline constexpr std::uint64_t no_bad_row = ~std::uint64_t{0};

/// Throws the Error of the row that *bad_row names, if it names one. `row_image` is a copy in host
/// memory.
void check_bad_row(std::uint64_t bad_row, const DrawStatisticsParams& params,
                   const std::int64_t* row_image);

/// The same of a draw of the image with that id.
[[noreturn]] void fail_bad_draw(std::uint64_t draw, std::uint32_t image);

}  // namespace pixeldp::kernels
