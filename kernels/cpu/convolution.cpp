#include "kernels/convolution.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include <omp.h>

#include "engine/buffer.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/operations.hpp"
#include "kernels/cpu/winograd.hpp"
#include "kernels/inference.hpp"

namespace pixeldp::kernels::cpu {
namespace {

using dnnl::memory;
using dnnl::prop_kind;
constexpr auto f32 = memory::data_type::f32;

std::string describe(const char* pass, const Conv2dShape& shape) {
  return kernels::describe(shape) + pass;
}

/// Memory descriptors of one shape: fp32, and what products take, whose type is given. oneDNN names
/// axes N, C, H, W whatever their order in memory.
struct Descs {
  Descs(const Conv2dShape& s, memory::data_type operand)
      : Descs(s, operand, {s.batch, s.in_c, s.in_h, s.in_w},
              {s.out_c, s.in_c, s.kernel_h, s.kernel_w}, {s.batch, s.out_c, s.out_h(), s.out_w()}) {
  }

  memory::desc x, weight, dweight, y, x_operand, weight_operand, y_operand;
  memory::dims strides, pad_before, pad_after;

 private:
  Descs(const Conv2dShape& s, memory::data_type operand, const memory::dims& of_x,
        const memory::dims& of_weight, const memory::dims& of_y)
      : x(of_x, f32, memory::format_tag::nhwc),
        weight(of_weight, f32, memory::format_tag::oihw),
        dweight(of_weight, f32, memory::format_tag::any),
        y(of_y, f32, memory::format_tag::nhwc),
        x_operand(of_x, operand, memory::format_tag::nhwc),
        weight_operand(of_weight, operand, memory::format_tag::any),
        y_operand(of_y, operand, memory::format_tag::nhwc),
        strides{s.stride, s.stride},
        pad_before{s.pad_h.before, s.pad_w.before},
        pad_after{s.pad_h.after, s.pad_w.after} {}
};

dnnl::convolution_forward::primitive_desc forward_desc(const Conv2dShape& s,
                                                       memory::data_type operand) {
  const Descs d(s, operand);
  // Direct, never Winograd: before the noise the sensitivity is proved for this sum of products.
  return onednn::describe<dnnl::convolution_forward>(
      prop_kind::forward_inference, dnnl::algorithm::convolution_direct, d.x_operand,
      d.weight_operand, d.y, d.strides, d.pad_before, d.pad_after);
}

/// A primitive with what it takes to run it. Making one is slow, so each thread keeps those it has
/// used.
template <typename Primitive>
struct Cached {
  typename Primitive::primitive_desc desc;
  Primitive primitive;
};

template <typename Primitive, typename Make>
const Cached<Primitive>& cached(const Conv2dShape& shape, memory::data_type operand, Make make) {
  thread_local std::map<std::tuple<Conv2dShape, memory::data_type, int>, Cached<Primitive>> cache;
  const auto key = std::make_tuple(shape, operand, onednn::team_size());
  auto found = cache.find(key);
  if (found == cache.end()) {
    const auto desc = make();
    found = cache.emplace(key, Cached<Primitive>{desc, Primitive(desc)}).first;
  }
  return found->second;
}

/// What a weight gradient is worth rounding for. oneDNN transposes pixels to multiply them in
/// pairs, which takes longer than it saves for few channels and, done once per step of the stride,
/// for strided convolutions.
Precision weight_gradient_precision(const Conv2dShape& s, Precision precision) {
  const bool pays = s.stride == 1 && s.in_c >= 32;
  return precision == Precision::bf16 && !pays ? Precision::fp32 : precision;
}

/// Where operands may be rounded to tf32, which no processor multiplies faster, Winograd's
/// algorithm may round instead: by less.
bool by_winograd(const Conv2dShape& s, Precision precision) {
  return precision == Precision::tf32 && s.stride == 1 && takes_winograd(s) &&
         std::min({s.pad_h.before, s.pad_h.after, s.pad_w.before, s.pad_w.after}) >= 0;
}

/// y = x (*) weight, with the rows shared out to all threads.
void multiply_by_winograd(const Conv2dShape& shape, const float* x, std::span<const float> weight,
                          float* y) {
  Conv2dShape row = shape;
  row.batch = 1;
  const Winograd product(row, Precision::fp32, weight, {});
  const std::int64_t together = std::max<std::int64_t>(winograd_tiles / winograd_tiles_of(row), 1);
  const std::int64_t x_size = row.in_h * row.in_w * row.in_c,
                     y_size = row.out_h() * row.out_w() * row.out_c;
  std::vector<Memory> scratch;
  for (int i = 0; i < omp_get_max_threads(); ++i)
    scratch.emplace_back(Device(), static_cast<std::size_t>(product.scratch_size(together)));
#pragma omp parallel for
  for (std::int64_t first = 0; first < shape.batch; first += together)
    product.run(std::min(together, shape.batch - first), x + first * x_size,
                {.target = {.real = y + first * y_size}},
                scratch[static_cast<std::size_t>(omp_get_thread_num())].data());
}

/// The convolution of stride 1 that takes dy to dx: that of all kernels turned around.
Conv2dShape turned(const Conv2dShape& s) {
  const auto rest = [](Padding pad, std::int64_t kernel) {
    return Padding{kernel - 1 - pad.before, kernel - 1 - pad.after};
  };
  return {.batch = s.batch,
          .in_h = s.out_h(),
          .in_w = s.out_w(),
          .in_c = s.out_c,
          .out_c = s.in_c,
          .kernel_h = s.kernel_h,
          .kernel_w = s.kernel_w,
          .stride = 1,
          .pad_h = rest(s.pad_h, s.kernel_h),
          .pad_w = rest(s.pad_w, s.kernel_w)};
}
std::vector<float> turned(const Conv2dShape& s, const float* weight) {
  const std::int64_t taps = s.kernel_h * s.kernel_w;
  std::vector<float> made(static_cast<std::size_t>(s.weight_size()));
  for (std::int64_t o = 0; o < s.out_c; ++o)
    for (std::int64_t c = 0; c < s.in_c; ++c, weight += taps)
      std::reverse_copy(weight, weight + taps, made.begin() + (c * s.out_c + o) * taps);
  return made;
}

}  // namespace

void conv2d_forward(const Stream&, const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y) {
  if (by_winograd(shape, precision))
    return multiply_by_winograd(shape, x, {weight, static_cast<std::size_t>(shape.weight_size())},
                                y);
  const auto operand = onednn::operand_type(precision);
  onednn::guarded(describe("", shape), [&] {
    const Descs d(shape, operand);
    const auto& op = cached<dnnl::convolution_forward>(
        shape, operand, [&] { return forward_desc(shape, operand); });
    onednn::Operands operands;
    onednn::run(op.primitive, op.desc.scratchpad_desc(),
                {{DNNL_ARG_SRC, operands.take(d.x, x, d.x_operand)},
                 {DNNL_ARG_WEIGHTS, operands.take(d.weight, weight, op.desc.weights_desc())},
                 {DNNL_ARG_DST, onednn::wrap(d.y, y)}});
  });
}

void conv2d_backward_data(const Stream&, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  if (shape.stride == 1 && by_winograd(turned(shape), precision))
    return multiply_by_winograd(turned(shape), dy, turned(shape, weight), dx);
  const auto operand = onednn::operand_type(precision);
  onednn::guarded(describe(", gradient in x", shape), [&] {
    const Descs d(shape, operand);
    const auto& op = cached<dnnl::convolution_backward_data>(shape, operand, [&] {
      return onednn::describe_backward<dnnl::convolution_backward_data>(
          forward_desc(shape, operand), dnnl::algorithm::convolution_direct, d.x, d.weight_operand,
          d.y_operand, d.strides, d.pad_before, d.pad_after);
    });
    onednn::Operands operands;
    onednn::run(op.primitive, op.desc.scratchpad_desc(),
                {{DNNL_ARG_DIFF_DST, operands.take(d.y, dy, d.y_operand)},
                 {DNNL_ARG_WEIGHTS, operands.take(d.weight, weight, op.desc.weights_desc())},
                 {DNNL_ARG_DIFF_SRC, onednn::wrap(d.x, dx)}});
  });
}

void conv2d_backward_weight(const Stream&, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  const auto operand = onednn::operand_type(weight_gradient_precision(shape, precision));
  onednn::guarded(describe(", gradient in the weight", shape), [&] {
    const Descs d(shape, operand);
    const auto& op = cached<dnnl::convolution_backward_weights>(shape, operand, [&] {
      return onednn::describe_backward<dnnl::convolution_backward_weights>(
          forward_desc(shape, operand), dnnl::algorithm::convolution_direct, d.x_operand, d.dweight,
          d.y_operand, d.strides, d.pad_before, d.pad_after);
    });
    memory packed(op.desc.diff_weights_desc(), onednn::engine());
    onednn::Operands operands;
    onednn::run(op.primitive, op.desc.scratchpad_desc(),
                {{DNNL_ARG_SRC, operands.take(d.x, x, d.x_operand)},
                 {DNNL_ARG_DIFF_DST, operands.take(d.y, dy, d.y_operand)},
                 {DNNL_ARG_DIFF_WEIGHTS, packed}});
    onednn::reorder(packed, onednn::wrap(d.weight, dweight));
  });
}

}  // namespace pixeldp::kernels::cpu
