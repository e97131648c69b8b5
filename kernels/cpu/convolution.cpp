#include "kernels/convolution.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/operations.hpp"

namespace pixeldp::kernels {
namespace {

using dnnl::memory;
using dnnl::prop_kind;
constexpr auto f32 = memory::data_type::f32;

std::string describe(const char* pass, const Conv2dShape& s) {
  return fmt::format("convolution {} {}x{}x{}x{} with {} kernels {}x{}, stride {}", pass, s.batch,
                     s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride);
}

/// Memory descriptors of one shape. oneDNN names axes N, C, H, W whatever their order in memory.
struct Descs {
  explicit Descs(const Conv2dShape& s)
      : x({s.batch, s.in_c, s.in_h, s.in_w}, f32, memory::format_tag::nhwc),
        weight({s.out_c, s.in_c, s.kernel_h, s.kernel_w}, f32, memory::format_tag::oihw),
        best_weight(weight.dims(), f32, memory::format_tag::any),
        y({s.batch, s.out_c, s.out_h(), s.out_w()}, f32, memory::format_tag::nhwc),
        strides{s.stride, s.stride},
        pad_before{s.pad_h.before, s.pad_w.before},
        pad_after{s.pad_h.after, s.pad_w.after} {}

  memory::desc x, weight, best_weight, y;
  memory::dims strides, pad_before, pad_after;
};

dnnl::convolution_forward::primitive_desc forward_desc(const Conv2dShape& s) {
  const Descs d(s);
  // Direct, never Winograd: before the noise the sensitivity is proved for this sum of products.
  return {{prop_kind::forward_inference, dnnl::algorithm::convolution_direct, d.x, d.best_weight,
           d.y, d.strides, d.pad_before, d.pad_after},
          onednn::attributes(),
          onednn::engine()};
}

/// A primitive with what it takes to run it. Making one is slow, so each thread keeps those it has
/// used.
template <typename Primitive>
struct Cached {
  typename Primitive::primitive_desc desc;
  Primitive primitive;
};

template <typename Primitive, typename Make>
const Cached<Primitive>& cached(const Conv2dShape& shape, Make make) {
  thread_local std::map<std::tuple<Conv2dShape, int>, Cached<Primitive>> cache;
  const auto key = std::make_tuple(shape, onednn::team_size());
  auto found = cache.find(key);
  if (found == cache.end()) {
    const auto desc = make();
    found = cache.emplace(key, Cached<Primitive>{desc, Primitive(desc)}).first;
  }
  return found->second;
}

}  // namespace

Padding same_padding(std::int64_t extent, std::int64_t kernel, std::int64_t stride) {
  const std::int64_t outputs = (extent + stride - 1) / stride;
  const std::int64_t total = std::max<std::int64_t>((outputs - 1) * stride + kernel - extent, 0);
  return {total / 2, total - total / 2};
}

namespace cpu {

void conv2d_forward(const Conv2dShape& shape, const float* x, const float* weight, float* y) {
  onednn::guarded(describe("forward", shape), [&] {
    const auto& op = cached<dnnl::convolution_forward>(shape, [&] { return forward_desc(shape); });
    const Descs d(shape);
    memory packed(op.desc.weights_desc(), onednn::engine());
    onednn::reorder(onednn::wrap(d.weight, weight), packed);
    onednn::run(op.primitive, op.desc.scratchpad_desc(),
                {{DNNL_ARG_SRC, onednn::wrap(d.x, x)},
                 {DNNL_ARG_WEIGHTS, packed},
                 {DNNL_ARG_DST, onednn::wrap(d.y, y)}});
  });
}

void conv2d_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                          float* dx) {
  onednn::guarded(describe("backward data", shape), [&] {
    const Descs d(shape);
    const auto& op = cached<dnnl::convolution_backward_data>(shape, [&] {
      return dnnl::convolution_backward_data::primitive_desc(
          {dnnl::algorithm::convolution_direct, d.x, d.best_weight, d.y, d.strides, d.pad_before,
           d.pad_after},
          onednn::attributes(), onednn::engine(), forward_desc(shape));
    });
    memory packed(op.desc.weights_desc(), onednn::engine());
    onednn::reorder(onednn::wrap(d.weight, weight), packed);
    onednn::run(op.primitive, op.desc.scratchpad_desc(),
                {{DNNL_ARG_DIFF_DST, onednn::wrap(d.y, dy)},
                 {DNNL_ARG_WEIGHTS, packed},
                 {DNNL_ARG_DIFF_SRC, onednn::wrap(d.x, dx)}});
  });
}

void conv2d_backward_weight(const Conv2dShape& shape, const float* x, const float* dy,
                            float* dweight) {
  onednn::guarded(describe("backward weight", shape), [&] {
    const Descs d(shape);
    const auto& op = cached<dnnl::convolution_backward_weights>(shape, [&] {
      return dnnl::convolution_backward_weights::primitive_desc(
          {dnnl::algorithm::convolution_direct, d.x, d.best_weight, d.y, d.strides, d.pad_before,
           d.pad_after},
          onednn::attributes(), onednn::engine(), forward_desc(shape));
    });
    memory packed(op.desc.diff_weights_desc(), onednn::engine());
    onednn::run(op.primitive, op.desc.scratchpad_desc(),
                {{DNNL_ARG_SRC, onednn::wrap(d.x, x)},
                 {DNNL_ARG_DIFF_DST, onednn::wrap(d.y, dy)},
                 {DNNL_ARG_DIFF_WEIGHTS, packed}});
    onednn::reorder(packed, onednn::wrap(d.weight, dweight));
  });
}

}  // namespace cpu
}  // namespace pixeldp::kernels
