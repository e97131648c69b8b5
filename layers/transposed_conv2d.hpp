#pragma once

#include "layers/conv2d.hpp"
#include "layers/row_layers.hpp"

namespace pixeldp::layers {

/// The transpose of a convolution of the same network, whose weight it shares ("tied"): x [N, h, w,
/// out_c], of the shape that the convolution makes, becomes an image of the shape that it reads,
///
///   z[p, q, i] = sum over o, r, t of weight[o, i, r, t] x[a, b, o],  a stride + r - pad = p,
///                                                                    b stride + t - pad = q,
///
/// and it has PyTorch's ConvTranspose2d's weight. It is calculated as a convolution of stride 1 to
/// the stride^2 pixels that each pixel of x becomes, which lie side by side as channels,
///
///   y[a, b, (stride u + v) in_c + i] = z[stride a + u, stride b + v, i],
///
/// so that a plan has an ordinary product for it; placement() puts them in their place. Those
/// beyond the image are there in y. It is trained on processors only.
class TransposedConv2d : public Layer {
 public:
  /// `of`, which must outlive this, reads images of that shape.
  TransposedConv2d(std::string name, Conv2d& of, const Shape& image, kernels::Precision precision);

  /// Of y as the image.
  Select::Options placement() const;

  Shape output_shape(std::span<const Shape> x) const override;
  void forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
               Saved& saved) override;
  void backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved& saved,
                Tensor& dy, std::span<Tensor* const> dx) override;
  kernels::InferenceStep lower(const Stream& stream, std::span<const Shape> x) const override;

 private:
  kernels::Conv2dShape phases(std::int64_t rows) const;
  template <class Visit>
  void for_weights(Visit visit) const;
  void make_weight(std::span<const float> weight, std::span<float> of_phases) const;

  Conv2d& of_;
  kernels::Conv2dShape transposed_;  ///< of one image
  kernels::Precision precision_;
};

}  // namespace pixeldp::layers
