#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/convolution_wgmma.hpp"
#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/stream_scratch.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Calls f with an element that says what the tensor cores read: a std::uint16_t (bf16) or, for any
/// other precision, a float (tf32).
template <class F>
auto with_element(Precision precision, F f) {
  return precision == Precision::bf16 ? f(std::uint16_t{}) : f(float{});
}

/// x [pixels, channels], in single precision, as the tensor cores read it: x itself where it is so,
/// else copied to memory of this object's own.
template <class Element>
class FilledChannels {
 public:
  FilledChannels(cudaStream_t stream, std::int64_t pixels, std::int64_t channels)
      : stream_(stream),
        pixels_(pixels),
        channels_(channels),
        own_(stream, is_filled(channels) ? 0 : pixels * filled_channels<Element>(channels)) {}

  /// Until the next call.
  const Element* of(const float* x) const {
    if constexpr (std::is_same_v<Element, float>)
      if (is_filled(channels_)) return x;
    fill_channels(stream_, pixels_, channels_, x, own_.data());
    return own_.data();
  }

 private:
  static bool is_filled(std::int64_t channels) {
    return std::is_same_v<Element, float> && channels == filled_channels<Element>(channels);
  }

  cudaStream_t stream_;
  std::int64_t pixels_, channels_;
  StreamScratch<Element> own_;
};

/// Runs passes (ConvPass) over one tensor to one tensor, by their packed weights.
template <class Element, class Output>
void run_passes(cudaStream_t stream, const std::vector<ConvPass>& passes, const Element* x,
                const Element* weight, const ConvEpilogue& epilogue, Output* y) {
  for (const ConvPass& pass : passes) {
    if constexpr (std::is_same_v<Element, std::uint16_t>) {
      if (const int channels = choose_wgmma_channels(pass, current_arch())) {
        conv2d_wgmma(stream, pass, channels, x, weight, epilogue, y);
        continue;
      }
    }
    const ConvTile tile = choose_conv_tile(pass, chunk_of<Element>, current_arch());
    conv2d_gemm(stream, pass, tile, x, weight, epilogue, y);
  }
}

/// Elements of the packed weights of passes, which follow each other.
inline std::int64_t packed_size(const std::vector<ConvPass>& passes) {
  return passes.back().weight_first + passes.back().weight_size();
}

/// Passes (ConvPass) over one tensor to one tensor, by a weight that is packed once. All memory is
/// taken when this is made: a graph that records its runs records none of that.
template <class Element>
class PackedConvolution {
 public:
  /// weight: OIHW in device memory, read in the stream. `fills`: x will come in single precision,
  /// with as many channels as there are; else as Element, in whole chunks.
  PackedConvolution(cudaStream_t stream, std::vector<ConvPass> passes, const float* weight,
                    bool fills = true)
      : stream_(stream),
        passes_(std::move(passes)),
        weight_(stream, packed_size(passes_)),
        filled_(stream, fills ? passes_[0].batch * passes_[0].in_h * passes_[0].in_w : 0,
                passes_[0].channels) {
    pack_weight(stream, passes_, weight, weight_.data());
  }

  /// Runs follow each other in the stream. X: float or Element.
  template <class X, class Output>
  void run(const X* x, const ConvEpilogue& epilogue, Output* y) const {
    const Element* operand = nullptr;
    if constexpr (std::is_same_v<X, Element> && !std::is_same_v<X, float>)
      operand = x;
    else
      operand = filled_.of(x);
    run_passes(stream_, passes_, operand, weight_.data(), epilogue, y);
  }

 private:
  cudaStream_t stream_;
  std::vector<ConvPass> passes_;
  StreamScratch<Element> weight_;
  FilledChannels<Element> filled_;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
