#include "kernels/convolution.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/operations.hpp"

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

}  // namespace

void conv2d_forward(const Stream&, const Conv2dShape& shape, Precision precision, const float* x,
                    const float* weight, float* y) {
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
