#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/network.hpp"
#include "pixeldp/attacks/ball.hpp"

namespace pixeldp {

/// What a network without noise provably withstands: lower bounds of its margins in a box around an
/// image, by the dual of Wong and Kolter ("Provable defenses against adversarial examples via the
/// convex outer adversarial polytope", 2018), and their gradients, by which it can be trained.
///
/// The network is a chain z[i] = W[i] a[i-1] + b[i], a[i] = max(z[i], 0), of convolutions and dense
/// layers, where a[0] is the image and z[k] the logits. With l <= z[i] <= u in the box, a ReLU that
/// may be on or off (l < 0 < u) lies between s z and s (z - l), s = u / (u - l). So for every v
///
///   v z[i] >= v b[i] + (s * w) z[i-1] - sum over j of s[j] l[j] min(w[j], 0),    w = W[i]^T v,
///
/// with s = 1 where l >= 0, and 0 where u <= 0, and no such sum there; at the image, w a[0] is at
/// least w m - |w| r in the box of centre m and radius r. The bounds l and u of the layers between
/// come from interval arithmetic, which is coarser than the dual itself, but costs two passes where
/// that would cost one for each value (Zhang et al., "Towards stable and efficient training of
/// verifiably robust neural networks", 2020).
///
/// In single precision: what rounding does to a margin is not counted. For processors.
class DualBound {
 public:
  /// The network must outlive it. Throws a usage error that names the first layer it does not
  /// cover, or the noise.
  explicit DualBound(layers::Network& network);

  /// Lower bounds [N, classes] of z[label] - z[c] over all pictures whose pixels are at most `size`
  /// from those of their image [N, H, W, C], and in their range; 0 for the label itself.
  const Tensor& margins(const Tensor& images, std::span<const std::int32_t> labels, double size,
                        PixelRange pixels);

  /// From the gradient in the margins to that in every parameter, which is overwritten. Follows
  /// margins() with the same images and labels.
  void backward(const Tensor& dmargins);

 private:
  /// W and b. A dense layer is one of images of one pixel.
  struct Map {
    kernels::Conv2dShape shape;
    layers::Parameter* weight = nullptr;
    layers::Parameter* bias = nullptr;  ///< or none, of a convolution
    std::int64_t in = 0, out = 0;
  };
  /// Of one map: what is known of a row of its input and its output, and of the duals.
  struct Values {
    Tensor centre, radius;  ///< of the input: [N, in]
    Tensor low, high;       ///< of the output, before its ReLU: [N, out]
    Tensor w, v;            ///< [N classes, in] and [N classes, out]
    Tensor dlow, dhigh;     ///< the gradients in low and high
  };

  void bound_values(const Tensor& images, double size, PixelRange pixels);
  void bound_margins(std::span<const std::int32_t> labels);
  void backward_margins(const Tensor& dmargins);
  void backward_values();

  std::vector<Map> maps_;
  std::vector<std::vector<float>> magnitudes_;  // |W| of each map
  std::vector<Values> values_;
  Tensor margins_;
};

}  // namespace pixeldp
