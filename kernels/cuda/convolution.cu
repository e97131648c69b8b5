/// Convolutions, dense layers and their gradients, by the project's own kernels. A dense layer is a
/// convolution of images of one pixel.
///
/// Precision::fp32 takes the direct kernel (convolution_direct.cu) forward, and tf32 for gradients.
/// Otherwise the tensor cores work (convolution_gemm.cuh, convolution_weight.cu): operands are
/// rounded to bf16 or tf32, sums are in single precision. Scratch memory is allocated and freed in
/// the stream: packed weights, partial sums and, but for tf32 of channels that are multiples of 4,
/// copies of x and dy. A TrainingProduct keeps the packed weights and the copy of x from pass to
/// pass, and both gradients read one copy of dy. In bf16 warpgroups do the work of shapes that pay,
/// where there are any (convolution_wgmma.cu, convolution_weight_wgmma.cu).
#include "engine/buffer.hpp"
#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/convolution_direct.hpp"
#include "kernels/cuda/convolution_weight.hpp"
#include "kernels/cuda/convolution_weight_wgmma.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/packed_convolution.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// dweight from operands as the tensor cores read them.
template <class Element>
void weight_gradient(cudaStream_t stream, const Conv2dShape& shape, const Element* x,
                     const Element* dy, float* dweight) {
  WgmmaWeightTile tile;
  if constexpr (std::is_same_v<Element, std::uint16_t>)
    tile = choose_wgmma_weight_tile(shape, current_arch());
  const WeightSums sums = tile.exists() ? ConvWgmmaWeightPlan::make(shape, tile).sums()
                                        : ConvWeightPlan::make(shape, chunk_of<Element>).sums();
  const StreamScratch<float> workspace(stream, sums.size());
  if constexpr (std::is_same_v<Element, std::uint16_t>) {
    if (tile.exists()) {
      conv2d_wgmma_weight_sums(stream, shape, tile, x, dy, workspace.data());
      return add_weight_splits(stream, sums, workspace.data(), dweight);
    }
  }
  conv2d_gemm_backward_weight(stream, shape, x, dy, workspace.data(), dweight);
}

std::int64_t x_pixels(const Conv2dShape& shape) { return shape.batch * shape.in_h * shape.in_w; }
std::int64_t y_pixels(const Conv2dShape& shape) {
  return shape.batch * shape.out_h() * shape.out_w();
}

/// The packed weights of one direction, and what they are of.
class PackedPasses {
 public:
  explicit PackedPasses(std::vector<ConvPass> passes) : passes_(std::move(passes)) {}

  void pack(const Stream& stream, const ProductWeight& weight) {
    if (packed_.size() == 0) packed_ = Buffer<std::uint16_t>(stream.device(), packed_size(passes_));
    if (weight.version != 0 && weight == weight_) return;
    pack_weight(stream.native(), passes_, weight.values, packed_.data());
    weight_ = weight;
  }
  void run(const Stream& stream, const std::uint16_t* x, const ConvEpilogue& epilogue,
           float* y) const {
    run_passes(native(stream), passes_, x, packed_.data(), epilogue, y);
  }

 private:
  std::vector<ConvPass> passes_;
  Buffer<std::uint16_t> packed_;
  ProductWeight weight_;
};

class DeviceProduct : public TrainingProduct {
 public:
  DeviceProduct(const Stream& stream, const Conv2dShape& shape)
      : TrainingProduct(shape),
        forward_({ConvPass::forward(shape, chunk)}),
        backward_(ConvPass::backward_data(shape, chunk)),
        x_(stream.device(), x_pixels(shape) * filled_channels<std::uint16_t>(shape.in_c)) {}

  Device device() const override { return x_.device(); }
  std::int64_t rounded_dy_size() const override {
    return y_pixels(shape()) * filled_channels<std::uint16_t>(shape().out_c);
  }
  std::uint16_t* rounded_x() override { return x_.data(); }
  void round_x(const Stream& stream, const float* x) override {
    fill_channels(stream.native(), x_pixels(shape()), shape().in_c, x, x_.data());
  }

  void forward(const Stream& stream, const ProductWeight& weight, const float* bias,
               float* y) override {
    forward_.pack(stream, weight);
    forward_.run(stream, x_.data(), {.shift = bias}, y);
  }

  void backward(const Stream& stream, const ProductWeight& weight, const float* dy,
                const std::uint16_t* rounded_dy, const ProductGradients& to) override {
    if (to.bias != nullptr)
      column_sums(stream.native(), y_pixels(shape()), shape().out_c, dy, to.bias);
    const StreamScratch<std::uint16_t> own(native(stream),
                                           rounded_dy == nullptr ? rounded_dy_size() : 0);
    if (rounded_dy == nullptr) {
      fill_channels(stream.native(), y_pixels(shape()), shape().out_c, dy, own.data());
      rounded_dy = own.data();
    }
    if (to.weight != nullptr)
      weight_gradient(native(stream), shape(), std::as_const(x_).data(), rounded_dy, to.weight);
    if (to.x == nullptr) return;
    backward_.pack(stream, weight);
    backward_.run(stream, rounded_dy, {}, to.x);
  }

 private:
  static constexpr int chunk = chunk_of<std::uint16_t>;

  PackedPasses forward_, backward_;
  Buffer<std::uint16_t> x_;
};

}  // namespace

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
    const auto s = native(stream);
    const FilledChannels<Element> filled_x(s, x_pixels(shape), shape.in_c);
    const FilledChannels<Element> filled_dy(s, y_pixels(shape), shape.out_c);
    weight_gradient(s, shape, filled_x.of(x), filled_dy.of(dy), dweight);
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

std::unique_ptr<TrainingProduct> training_convolution(const Stream& stream,
                                                      const Conv2dShape& shape,
                                                      Precision precision) {
  if (precision != Precision::bf16) return nullptr;
  return std::make_unique<DeviceProduct>(stream, shape);
}

std::unique_ptr<TrainingProduct> training_dense(const Stream& stream, const DenseShape& shape,
                                                Precision precision) {
  return PIXELDP_DEVICE::training_convolution(stream, as_convolution(shape), precision);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
