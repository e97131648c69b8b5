#pragma once

#include <cstdint>

#include "engine/philox.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/cpu/vector.hpp"
#include "kernels/formulas/noise.hpp"

/// Noise is made in registers and added to the prefix in the same pass: 8 bytes of memory traffic
/// per element and nothing else. One group is V::lanes / 2 Philox counters, that is 2 * V::lanes
/// elements.
///
/// Philox works on 64-bit lanes whose upper halves hold anything: the 32 x 32 -> 64 bit
/// multiplication reads the lower halves only. Lane i of a group takes block i/2 if i is even and
/// V::lanes / 4 + i/2 if it is odd: then interleaving the pairs of neighbouring elements at the end
/// leaves whole blocks in the order of memory.
namespace pixeldp::kernels::cpu {

/// The counters of one row. Only the block differs between its lanes, so half of the first two
/// rounds is done once per row.
template <class V>
class RowCounters {
  using Wides = typename V::Wides;

 public:
  RowCounters(std::uint64_t seed, StreamTag tag, std::uint32_t image, std::uint32_t draw) {
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < Philox::rounds; ++round) {
      key0_[round] = k0;
      key1_[round] = k1;
      k0 += Philox::weyl0;
      k1 += Philox::weyl1;
    }
    const std::uint64_t p1 = std::uint64_t{Philox::multiplier1} * image;
    const std::uint64_t c0 = (p1 >> 32) ^ draw ^ key0_[0];
    const std::uint64_t p0 = Philox::multiplier0 * c0;
    first_c2_ = static_cast<std::uint32_t>(tag) ^ key1_[0];
    second_c0_ = static_cast<std::uint32_t>(p1) ^ key0_[1];
    second_c2_ = (p0 >> 32) ^ key1_[1];
    second_c3_ = static_cast<std::uint32_t>(p0);
    last_key_ = key0_[Philox::rounds - 1] | key1_[Philox::rounds - 1] << 32;
  }

  /// The words of `groups` groups, whose rounds are interleaved.
  template <int groups>
  [[gnu::always_inline]] void generate(const Wides (&block)[groups],
                                       WordPairs<V> (&words)[groups]) const {
    Wides c0[groups], c1[groups], c2[groups], c3[groups];
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) {
      const Wides p0 = V::multiply(block[g], Philox::multiplier0);
      const Wides p1 = V::multiply(V::high(p0) ^ first_c2_, Philox::multiplier1);
      c0[g] = V::high(p1) ^ second_c0_;
      c1[g] = p1;
      c2[g] = p0 ^ second_c2_;
      c3[g] = Wides{} + second_c3_;
    }
#pragma GCC unroll 8
    for (int round = 2; round < Philox::rounds - 1; ++round) {
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) {
        const Wides p0 = V::multiply(c0[g], Philox::multiplier0);
        const Wides p1 = V::multiply(c2[g], Philox::multiplier1);
        c0[g] = V::exclusive_or(V::high(p1), c1[g], Wides{} + key0_[round]);
        c1[g] = p1;
        c2[g] = V::exclusive_or(V::high(p0), c3[g], Wides{} + key1_[round]);
        c3[g] = p0;
      }
    }
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) {
      const Wides p0 = V::multiply(c0[g], Philox::multiplier0);
      const Wides p1 = V::multiply(c2[g], Philox::multiplier1);
      words[g].even = (typename V::Words)V::exclusive_or(
          V::upper_halves(p1, p0), V::lower_halves(c1[g], c3[g]), Wides{} + last_key_);
      words[g].odd = (typename V::Words)V::lower_halves(p1, p0);
    }
  }

 private:
  std::uint64_t key0_[Philox::rounds], key1_[Philox::rounds];
  std::uint64_t first_c2_, second_c0_, second_c2_, second_c3_, last_key_;
};

/// Goes through a span group by group; what becomes of a group's words and prefix, `finish` knows.
template <class V, class Span, class Finish>
struct NoiseLoop {
  static constexpr int lanes = V::lanes, group = 2 * lanes;
  using Value = typename Span::Value;
  using Wides = typename V::Wides;

  RowCounters<V> counters;
  Finish finish;

  template <int groups>
  [[gnu::always_inline]] void step(Wides block, std::int64_t first, const Value* prefix,
                                   float* y) const {
    Wides blocks[groups];
    WordPairs<V> words[groups];
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) blocks[g] = block + static_cast<std::uint64_t>(g * lanes / 2);
    counters.template generate<groups>(blocks, words);
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g)
      finish(words[g], first + g * group, prefix + g * group, y + g * group);
  }

  static void run(const NoiseParams& params, const Span& span) {
    const NoiseLoop loop{{params.seed, params.tag, span.row.image, span.row.draw}, {params, span}};
    constexpr int unroll = V::interleaved_groups;
    Wides block = Wides{} + span.first_block;
    for (int i = 0; i < lanes / 2; ++i)
      block[i] += static_cast<std::uint64_t>(i % 2 * (lanes / 4) + i / 2);
    std::int64_t i = 0;
    for (; i + unroll * group <= span.elements; i += unroll * group) {
      loop.template step<unroll>(block, i, span.prefix + i, span.y + i);
      block += static_cast<std::uint64_t>(unroll * lanes / 2);
    }
    for (; i < span.elements; i += group) {
      const std::int64_t count = span.elements - i;
      if (count >= group) {
        loop.template step<1>(block, i, span.prefix + i, span.y + i);
      } else {
        Value in[group] = {};
        float out[group];
        for (std::int64_t j = 0; j < count; ++j) in[j] = span.prefix[i + j];
        loop.template step<1>(block, i, in, out);
        for (std::int64_t j = 0; j < count; ++j) span.y[i + j] = out[j];
      }
      block += static_cast<std::uint64_t>(lanes / 2);
    }
  }
};

/// Loop<Activate>::run of the activation that the noise is followed by.
template <template <class> class Loop, class Span>
void run_with_activation(const NoiseParams& params, const Span& span) {
  if (params.activation.is_identity())
    Loop<Identity>::run(params, span);
  else if (params.activation == Activation::relu())
    Loop<Relu>::run(params, span);
  else
    Loop<LeakyRelu>::run(params, span);
}

/// activation(scale * z + prefix), the noise z made by `Transform`.
template <class V, class Transform, class Activate>
struct FloatNoise {
  using Floats = typename V::Floats;

  FloatNoise(const NoiseParams& params, const NoiseSpan&)
      : scale(params.scale), activate(params.activation.slope) {}

  float scale;
  Activate activate;

  [[gnu::always_inline]] void operator()(WordPairs<V> words, std::int64_t, const float* prefix,
                                         float* y) const {
    Floats z0, z1, first, second;
    Transform::template apply<V>(words, z0, z1);
    V::interleave(z0, z1, first, second);
    add(first, prefix, y);
    add(second, prefix + V::lanes, y + V::lanes);
  }
  [[gnu::always_inline]] void add(Floats z, const float* prefix, float* y) const {
    store<V>(y, activate.template apply<V>(V::fma(z, all<V>(scale), load<V>(prefix))));
  }
};

template <class V, class Transform>
struct FloatNoiseLoops {
  template <class Activate>
  using Loop = NoiseLoop<V, NoiseSpan, FloatNoise<V, Transform, Activate>>;
};

template <class V>
void add_noise(const NoiseParams& params, const NoiseSpan& span) {
  switch (params.distribution) {
    case NoiseDistribution::none:  // which never comes here
    case NoiseDistribution::gaussian:
      return run_with_activation<FloatNoiseLoops<V, GaussianTransform>::template Loop>(params,
                                                                                       span);
    case NoiseDistribution::laplace:
      return run_with_activation<FloatNoiseLoops<V, LaplaceTransform>::template Loop>(params, span);
  }
}

}  // namespace pixeldp::kernels::cpu
