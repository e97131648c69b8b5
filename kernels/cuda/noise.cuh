#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lane.cuh"
#include "kernels/formulas/noise.hpp"
#include "kernels/noise.hpp"

/// Four elements of noise at a time, for every kernel that makes its own.
namespace pixeldp::kernels::PIXELDP_DEVICE {

/// In the place of a transform: no noise at all, not even a rounding.
struct NoNoise {};

template <class Transform, class Activate>
struct NoisyRow {
  std::uint64_t seed;
  StreamTag tag;
  NoiseRow row;
  float scale;
  Activate activate;

  /// The four results of one Philox block.
  __device__ __forceinline__ void apply(std::uint32_t block, const float (&x)[4],
                                        float (&result)[4]) const {
    Rounded noisy[4] = {x[0], x[1], x[2], x[3]};
    if constexpr (!std::is_same_v<Transform, NoNoise>) {
      const Philox::Words w = Philox::at(seed, tag, row.image, row.draw, block);
      Rounded z[4];
      Transform::template apply<Lane>({w[0], w[1]}, z[0], z[1]);
      Transform::template apply<Lane>({w[2], w[3]}, z[2], z[3]);
      for (int j = 0; j < 4; ++j) noisy[j] = Lane::fma(z[j], scale, noisy[j]);
    }
    for (int j = 0; j < 4; ++j) result[j] = activate.template apply<Lane>(noisy[j]).value;
  }
};

/// f(transform, activate) with the types, each as a std::type_identity, of what `params` ask for.
template <class F>
void with_noise(const NoiseParams& params, const F& f) {
  const auto with_activation = [&]<class Transform>(std::type_identity<Transform> transform) {
    if (params.activation.is_identity())
      f(transform, std::type_identity<Identity>());
    else if (params.activation == Activation::relu())
      f(transform, std::type_identity<Relu>());
    else
      f(transform, std::type_identity<LeakyRelu>());
  };
  if (params.scale == 0.0f) return with_activation(std::type_identity<NoNoise>());
  switch (params.distribution) {
    case NoiseDistribution::none:
      return with_activation(std::type_identity<NoNoise>());
    case NoiseDistribution::gaussian:
      return with_activation(std::type_identity<GaussianTransform>());
    case NoiseDistribution::laplace:
      return with_activation(std::type_identity<LaplaceTransform>());
  }
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
