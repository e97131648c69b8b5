#include "kernels/draw_statistics.hpp"

#include "engine/error.hpp"
#include "kernels/operations.hpp"

namespace pixeldp::kernels {

void draw_statistics(const Stream& stream, const DrawStatisticsParams& params,
                     const float* features, const float* weight, const float* bias,
                     const std::int64_t* row_image, std::uint64_t* votes, std::uint64_t* sums,
                     std::uint64_t* squares, std::uint64_t* bad_row) {
  const auto [rows, width, classes] = params;
  if (rows < 0 || width < 0 || classes < 1)
    fail("draw statistics of {} rows, {} features and {} classes", rows, width, classes);
  operations(stream).draw_statistics(stream, params, features, weight, bias, row_image, votes, sums,
                                     squares, bad_row);
}

void check_bad_row(std::uint64_t bad_row, const DrawStatisticsParams& params,
                   const std::int64_t* row_image) {
  if (bad_row == no_bad_row) return;
  fail(
      "row {} of {} (image {}) has a score that is not a finite number: the model's weights or "
      "the image hold values too large or not numbers",
      bad_row, params.rows, row_image[bad_row]);
}

void fail_bad_draw(std::uint64_t draw, std::uint32_t image) {
  fail(
      "a logit of draw {} of image {} is not finite: the model's weights or the image hold values "
      "that are not numbers, or too large",
      draw, image);
}

}  // namespace pixeldp::kernels
