#pragma once

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
  /// Network and pass, whose parameters are in the memory of the stream's device, must outlive it.
  Adversary(const Stream& stream, const AdversarialTraining& attack, std::uint64_t seed,
            float pixel_shift, layers::Network& network, layers::TrainingPass& pass);

  /// Replaces the images [rows, H, W, C] of the device, which are those of the batch. The factor is
  /// that of the noise.
  void perturb(const TrainingBatch& batch, float noise_factor, Tensor& images);

 private:
  /// The gradient of the mean loss in the images, into gradients_.
  void differentiate(const TrainingBatch& batch, std::int64_t number, float noise_factor,
                     const Tensor& images);

  Stream stream_;
  AdversarialTraining attack_;
  std::uint64_t seed_;
  PixelRange pixels_;
  layers::Network& network_;
  layers::TrainingPass& pass_;
  Tensor pictures_, gradients_;  // in host memory
  // In the memory of the device.
  Tensor dlogits_, dimages_;
  Buffer<kernels::NoiseRow> rows_;
  Buffer<std::int32_t> labels_;
  Buffer<kernels::LossResult> loss_;
};

}  // namespace pixeldp
