#pragma once

#include <memory>
#include <vector>

#include "kernels/real_output.hpp"
#include "layers/training_pass.hpp"
#include "pixeldp/draws_loss.hpp"
#include "pixeldp/sampling_loop.hpp"

namespace pixeldp {

/// An image under attack: what addresses its noise, and what is wanted of it.
struct AimedImage {
  std::uint32_t id = 0;
  Aim aim;
};

/// Gradients of losses of many draws in the images: the prefix once per image, then rows (image,
/// draw) forward and backward, whose gradients at the noise are added up by image, in the order of
/// the draws, before they go back to the image.
///
/// Rows go through kernels in blocks of one shape, padded where there are too few, each block of a
/// processor on one thread: an image's gradient has the same bits whatever the other images, the
/// threads, and the rows that are in memory at a time.
class ImageGradients {
 public:
  /// The network, which must outlive it, is differentiated in inference mode, in fp32 (devices may
  /// round products to tf32); parameters lie in the memory of the stream's device. micro_batch: the
  /// rows in memory at a time, rounded to whole blocks; 0: what suits the device.
  ImageGradients(const Stream& stream, layers::Network& network, std::int64_t micro_batch = 0);
  ~ImageGradients();

  /// Images [N, H, W, C] in host memory; gradients, as many and likewise, overwritten. Throws an
  /// Error for aims at labels that there are not.
  std::vector<DrawsLossValue> run(const Tensor& images, std::span<const AimedImage> aimed,
                                  DrawsLoss loss, const DrawRange& draws, Tensor& gradients);

  /// Of a regression network: the gradients of the mean over the draws of its output's place in the
  /// range, and these means. A truncated output counts as if it had no limits (slope_of).
  std::vector<double> run(const Tensor& images, std::span<const std::uint32_t> ids,
                          kernels::OutputKind output, const DrawRange& draws, Tensor& gradients);

 private:
  class Worker;

  /// Calls f(worker, i) for all i below count, on all threads of a processor.
  template <class F>
  void share_out(std::int64_t count, const F& f);
  void check(const Tensor& images, std::span<const std::uint32_t> ids,
             const DrawRange& draws) const;

  /// The logits of all rows, row r being draw r / count of image r % count, and the gradients in
  /// the images: gradient(image, z, dz) is given the logits of a row, and zeros for its gradient in
  /// them.
  template <class Gradient>
  std::vector<float> differentiate(const Tensor& images, std::span<const std::uint32_t> ids,
                                   const DrawRange& draws, const Gradient& gradient,
                                   Tensor& gradients);

  Stream stream_;
  layers::Network& network_;
  std::int64_t window_;  // rows whose gradients at the noise are in memory at a time
  std::vector<std::unique_ptr<Worker>> workers_;
  // In the memory of the device: of each image the prefix and the gradient in it; of each row of a
  // window the gradient in the prefix.
  Tensor prefixes_, dprefixes_, drows_;
};

}  // namespace pixeldp
