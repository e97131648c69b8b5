/// Convolutions, dense layers and their gradients, by the project's own kernels. A dense layer is a
/// convolution of images of one pixel.
///
/// Precision::fp32 takes the direct kernel (convolution_direct.cu) forward, and tf32 for gradients.
/// Otherwise the tensor cores work (convolution_gemm.cu, convolution_weight.cu): operands are
/// rounded to bf16 or tf32, sums are in single precision. Scratch memory is allocated and freed in
/// the stream: packed weights, partial sums and, but for tf32 of channels that are multiples of 4,
/// copies of x and dy. In bf16 warpgroups do the work of shapes that pay, where there are any
/// (convolution_wgmma.cu, convolution_weight_wgmma.cu).
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/packed_convolution.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

void conv2d_forward(const Stream& stream, const Conv2dShape& shape, Precision precision,
                    const float* x, const float* weight, float* y) {
  if (precision == Precision::fp32)
    return conv2d_direct(stream.native(), shape, {}, x, weight, nullptr, y);
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    const ConvPass pass = ConvPass::forward(shape, chunk_of<Element>);
    PackedConvolution<Element>(native(stream), {pass}, weight).run(x, {}, y);
  });
}

void conv2d_backward_data(const Stream& stream, const Conv2dShape& shape, Precision precision,
                          const float* dy, const float* weight, float* dx) {
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    PackedConvolution<Element>(native(stream), ConvPass::backward_data(shape, chunk_of<Element>),
                               weight)
        .run(dy, {}, dx);
  });
}

void conv2d_backward_weight(const Stream& stream, const Conv2dShape& shape, Precision precision,
                            const float* x, const float* dy, float* dweight) {
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    WgmmaWeightTile tile;
    if constexpr (std::is_same_v<Element, std::uint16_t>)
      tile = choose_wgmma_weight_tile(shape, current_arch());
    const WeightSums sums = tile.exists() ? ConvWgmmaWeightPlan::make(shape, tile).sums()
                                          : ConvWeightPlan::make(shape, chunk_of<Element>).sums();
    const auto s = native(stream);
    const FilledChannels<Element> filled_x(s, shape.batch * shape.in_h * shape.in_w, shape.in_c);
    const FilledChannels<Element> filled_dy(s, shape.batch * shape.out_h() * shape.out_w(),
                                            shape.out_c);
    const StreamScratch<float> workspace(s, sums.size());
    const Element *const of_x = filled_x.of(x), *const of_dy = filled_dy.of(dy);
    if constexpr (std::is_same_v<Element, std::uint16_t>) {
      if (tile.exists()) {
        conv2d_wgmma_weight_sums(s, shape, tile, of_x, of_dy, workspace.data());
        return add_weight_splits(s, sums, workspace.data(), dweight);
      }
    }
    conv2d_gemm_backward_weight(s, shape, of_x, of_dy, workspace.data(), dweight);
  });
}

void dense_forward(const Stream& stream, const DenseShape& shape, Precision precision,
                   const float* x, const float* weight, const float* bias, float* y) {
  if (precision == Precision::fp32)
    return dense_direct(stream.native(), shape, {}, x, weight, bias, y);
  with_element(precision, [&](auto element) {
    using Element = decltype(element);
    const ConvPass pass = ConvPass::forward(as_convolution(shape), chunk_of<Element>);
    PackedConvolution<Element>(native(stream), {pass}, weight).run(x, {.shift = bias}, y);
  });
}

void dense_backward_data(const Stream& stream, const DenseShape& shape, Precision precision,
                         const float* dy, const float* weight, float* dx) {
  PIXELDP_DEVICE::conv2d_backward_data(stream, as_convolution(shape), precision, dy, weight, dx);
}

void dense_backward_weight(const Stream& stream, const DenseShape& shape, Precision precision,
                           const float* x, const float* dy, float* dweight, float* dbias) {
  PIXELDP_DEVICE::conv2d_backward_weight(stream, as_convolution(shape), precision, x, dy, dweight);
  column_sums(stream.native(), shape.rows, shape.out, dy, dbias);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
