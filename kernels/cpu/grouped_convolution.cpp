#include "kernels/grouped_convolution.hpp"

#include <algorithm>
#include <limits>

#include "engine/error.hpp"
#include "engine/threads.hpp"
#include "kernels/cpu/simd_kernels.hpp"

namespace pixeldp::kernels {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Calls visit(place of the tap's pixel in x, place of the output pixel in y) for each output pixel
/// that the tap reaches from within the image.
template <class Visit>
void for_tap(const GroupedConv2dShape& s, std::int64_t tap, Visit visit) {
  const std::int64_t r = tap / s.kernel_w, t = tap % s.kernel_w;
  for (std::int64_t p = 0; p < s.out_h(); ++p) {
    const std::int64_t h = p * s.stride_h + r * s.dilation_h - s.pad_h.before;
    if (h < 0 || h >= s.in_h) continue;
    for (std::int64_t q = 0; q < s.out_w(); ++q) {
      const std::int64_t w = q * s.stride_w + t * s.dilation_w - s.pad_w.before;
      if (w < 0 || w >= s.in_w) continue;
      visit((h * s.in_w + w) * s.in_c, (p * s.out_w() + q) * s.out_c);
    }
  }
}

}  // namespace

std::string describe(const GroupedConv2dShape& s) {
  return fmt::format(
      "convolution {}x{}x{} with {} kernels {}x{} in {} groups, stride {}x{}, dilation {}x{}, "
      "padding {}+{}, {}+{}",
      s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.groups, s.stride_h, s.stride_w,
      s.dilation_h, s.dilation_w, s.pad_h.before, s.pad_h.after, s.pad_w.before, s.pad_w.after);
}

void check_grouped_shape(const GroupedConv2dShape& s) {
  constexpr std::int64_t most = 1 << 20;
  const auto sane = {s.in_h,     s.in_w,     s.in_c,     s.out_c,      s.groups,    s.kernel_h,
                     s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w};
  if (std::min(sane) < 1 || std::max(sane) > most)
    fail("{}: extents, channels, groups, strides and dilations must be from 1 to 2^20",
         describe(s));
  const auto padding = {s.pad_h.before, s.pad_h.after, s.pad_w.before, s.pad_w.after};
  if (std::min(padding) < 0 || std::max(padding) > most)
    fail("{}: padding must be from 0 to 2^20", describe(s));
  if (s.in_c % s.groups != 0 || s.out_c % s.groups != 0)
    fail("{}: the groups do not divide the channels", describe(s));
  if (s.dilation_h * (s.kernel_h - 1) + 1 > s.in_h + s.pad_h.before + s.pad_h.after ||
      s.dilation_w * (s.kernel_w - 1) + 1 > s.in_w + s.pad_w.before + s.pad_w.after)
    fail("{}: the kernel is larger than the padded image", describe(s));
}

GroupedConvolution::GroupedConvolution(const GroupedConv2dShape& shape,
                                       std::span<const float> weight)
    : shape_(shape), limits_{-infinity, infinity} {
  check_grouped_shape(shape);
  if (std::ssize(weight) != shape.weight_size())
    fail("{} has {} weights, not {}", describe(shape), shape.weight_size(), weight.size());
  weight_.resize(weight.size());
  const std::int64_t inputs = shape.inputs_of_group(), taps = shape.taps();
  for (std::int64_t o = 0; o < shape.out_c; ++o)
    for (std::int64_t i = 0; i < inputs; ++i)
      for (std::int64_t tap = 0; tap < taps; ++tap)
        weight_[packed_place(o, i, tap)] =
            weight[static_cast<std::size_t>((o * inputs + i) * taps + tap)];
}

GroupedSpan GroupedSpan::of(const GroupedConv2dShape& s) {
  return {.in_h = s.in_h,
          .in_w = s.in_w,
          .in_c = s.in_c,
          .out_h = s.out_h(),
          .out_w = s.out_w(),
          .out_c = s.out_c,
          .groups = s.groups,
          .kernel_h = s.kernel_h,
          .kernel_w = s.kernel_w,
          .stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .dilation_h = s.dilation_h,
          .dilation_w = s.dilation_w,
          .top = s.pad_h.before,
          .left = s.pad_w.before};
}

std::size_t GroupedConvolution::packed_place(std::int64_t output, std::int64_t input,
                                             std::int64_t tap) const {
  const GroupedConv2dShape& s = shape_;
  if (s.depthwise()) return static_cast<std::size_t>(tap * s.out_c + output);
  const std::int64_t outputs = s.outputs_of_group(), group = output / outputs;
  return static_cast<std::size_t>(
      ((group * s.taps() + tap) * s.inputs_of_group() + input) * outputs + output % outputs);
}

std::string_view GroupedConvolution::name() const {
  if (shape_.depthwise()) return "depthwise convolution";
  if (shape_.groups > 1) return "grouped convolution";
  return "dilated convolution, or one with two strides";
}

GroupedSpan GroupedConvolution::span() const {
  GroupedSpan span = GroupedSpan::of(shape_);
  span.weight = weight_.data();
  span.shift = shift_.empty() ? nullptr : shift_.data();
  span.slope = activation_.slope;
  span.low = limits_.low;
  span.high = limits_.high;
  return span;
}

void GroupedConvolution::run(std::span<const float* const> x, float* y) const {
  cpu::simd_kernels(cpu::best_instruction_set()).rows.grouped(span(), x[0], y);
}

void GroupedConvolution::backward(std::span<const float* const>, const float*, const float* dy,
                                  std::span<float* const> dx) const {
  if (!shift_.empty() || !activation_.is_identity() || limited_)
    fail("{}: its gradient is known without what was taken into its pass", describe(shape_));
  if (!dx[0]) return;
  float* const to = dx[0];
  const GroupedConv2dShape& s = shape_;
  std::fill_n(to, s.in_h * s.in_w * s.in_c, 0.0f);
  const std::int64_t inputs = s.inputs_of_group(), outputs = s.outputs_of_group();
  for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
    for_tap(s, tap, [&](std::int64_t pixel, std::int64_t made) {
      if (s.depthwise()) {
        const float* const weight = weight_.data() + tap * s.out_c;
#pragma omp simd
        for (std::int64_t c = 0; c < s.out_c; ++c) to[pixel + c] += dy[made + c] * weight[c];
        return;
      }
      for (std::int64_t g = 0; g < s.groups; ++g) {
        const float* weight = weight_.data() + (g * s.taps() + tap) * inputs * outputs;
        const float* const from = dy + made + g * outputs;
        for (std::int64_t i = 0; i < inputs; ++i, weight += outputs) {
          float sum = 0.0f;
          for (std::int64_t o = 0; o < outputs; ++o) sum += from[o] * weight[o];
          to[pixel + g * inputs + i] += sum;
        }
      }
    });
  }
}

std::shared_ptr<const RowOperation> GroupedConvolution::scaled(std::span<const float> scale,
                                                               std::span<const float> shift,
                                                               Activation activation) const {
  const bool of_channels = scale.empty() || std::ssize(scale) == shape_.out_c;
  if (!shift_.empty() || !activation_.is_identity() || limited_ || !of_channels) return nullptr;
  const auto made = std::make_shared<GroupedConvolution>(*this);
  for (std::int64_t o = 0; o < shape_.out_c && !scale.empty(); ++o)
    for (std::int64_t i = 0; i < shape_.inputs_of_group(); ++i)
      for (std::int64_t tap = 0; tap < shape_.taps(); ++tap)
        made->weight_[packed_place(o, i, tap)] *= scale[static_cast<std::size_t>(o)];
  made->shift_.assign(shift.begin(), shift.end());
  made->activation_ = activation;
  return made;
}

std::shared_ptr<const RowOperation> GroupedConvolution::clamped(float low, float high) const {
  if (limited_) return nullptr;
  const auto made = std::make_shared<GroupedConvolution>(*this);
  made->limits_ = {low, high};
  made->limited_ = true;
  return made;
}

void grouped_backward_weight(const Stream& stream, const GroupedConv2dShape& s, std::int64_t rows,
                             const float* x, const float* dy, float* dweight) {
  check_on_processor(stream, "grouped convolution");
  check_grouped_shape(s);
  const std::int64_t inputs = s.inputs_of_group(), outputs = s.outputs_of_group();
  const std::int64_t of_row = s.in_h * s.in_w * s.in_c, made = s.out_h() * s.out_w() * s.out_c;
  // By several threads tap by tap, so that the order of a sum depends on nothing.
  parallel_for(s.taps(), [&](std::int64_t tap) {
    std::vector<double> sums(static_cast<std::size_t>(s.out_c * inputs), 0.0);  // [output][input]
    for (std::int64_t n = 0; n < rows; ++n) {
      const float *const from = x + n * of_row, *const gradient = dy + n * made;
      for_tap(s, tap, [&](std::int64_t pixel, std::int64_t at) {
        for (std::int64_t o = 0; o < s.out_c; ++o) {
          const double g = gradient[at + o];
          const float* const read = from + pixel + o / outputs * inputs;
          double* const sum = sums.data() + o * inputs;
          for (std::int64_t i = 0; i < inputs; ++i) sum[i] += g * double{read[i]};
        }
      });
    }
    for (std::int64_t i = 0; i < std::ssize(sums); ++i)
      dweight[i * s.taps() + tap] = static_cast<float>(sums[static_cast<std::size_t>(i)]);
  });
}

}  // namespace pixeldp::kernels
