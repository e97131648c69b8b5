#pragma once

#include "engine/buffer.hpp"
#include "kernels/loss.hpp"
#include "layers/training_pass.hpp"
#include "pixeldp/attacks/ball.hpp"
#include "trainers/batch_source.hpp"
#include "trainers/training_config.hpp"

namespace pixeldp {

/// Makes the pictures of adversarial training: within a ball around each image of a batch, the one
/// on which projected gradient descent makes the loss large (Madry et al., "Towards deep learning
/// models resistant to adversarial attacks", 2018).
///
/// It starts anywhere in the ball, and each of its gradients goes through the network as it
/// predicts: with the running statistics of batch norms, and through one draw of the noise that
/// neither training nor the other gradients have. A picture depends on the parameters, its image,
/// the epoch and the seed, not on the other images of the batch.
class Adversary {
 public:
  /// What the attacks on a batch begin with, in memory that the device may still read when the next
  /// ones are begun.
  struct Start {
    /// Of so many images as the shape says.
    Start(Device device, const Shape& images, const AdversarialTraining& attack);

    PinnedBuffer<float> pictures;
    PinnedBuffer<kernels::NoiseRow> rows;  ///< of each step, one after the other
  };

  /// Network and pass, whose parameters are in the memory of the stream's device, must outlive it.
  Adversary(const Stream& stream, const AdversarialTraining& attack, std::uint64_t seed,
            float pixel_shift, layers::Network& network, layers::TrainingPass& pass);

  /// Puts pictures somewhere in the balls around the images [rows, H, W, C] of the device, which
  /// are those of the batch, in their place. Waits for nothing: `start` is left alone until the
  /// stream is past this.
  void begin(const TrainingBatch& batch, Start& start, Tensor& images);

  /// From there to pictures with large losses. Labels, and the factor of the noise, are in the
  /// memory of the device. The same work of the stream every time, which can be recorded.
  void climb(const std::int32_t* labels, const float* noise_factor, Tensor& images);

 private:
  Stream stream_;
  AdversarialTraining attack_;
  std::uint64_t seed_;
  PixelRange pixels_;
  layers::Network& network_;
  layers::TrainingPass& pass_;
  // In the memory of the device.
  Tensor centres_, dlogits_, dimages_;
  Buffer<kernels::NoiseRow> rows_;
  Buffer<kernels::LossResult> loss_;
};

}  // namespace pixeldp
