#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/convolution_operands.hpp"
#include "kernels/cuda/stream_scratch.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Calls f with an element that says what the tensor cores read: a std::uint16_t (bf16) or, for any
/// other precision, a float (tf32).
template <class F>
auto with_element(Precision precision, F f) {
  return precision == Precision::bf16 ? f(std::uint16_t{}) : f(float{});
}

/// x [pixels, channels], in single precision, as the tensor cores read it: x itself where it is so.
template <class Element>
class FilledChannels {
 public:
  FilledChannels(cudaStream_t stream, std::int64_t pixels, std::int64_t channels, const float* x)
      : own_(stream, is_filled(channels, x) ? 0 : pixels * filled_channels<Element>(channels)) {
    if constexpr (std::is_same_v<Element, float>) data_ = x;
    if (is_filled(channels, x)) return;
    fill_channels(stream, pixels, channels, x, own_.data());
    data_ = own_.data();
  }
  const Element* data() const { return data_; }

 private:
  static bool is_filled(std::int64_t channels, const float* x) {
    return std::is_same_v<Element, float> && channels == filled_channels<Element>(channels) &&
           reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  }

  StreamScratch<Element> own_;
  const Element* data_ = nullptr;
};

/// Passes (ConvPass) over one tensor to one tensor, by a weight that is packed once.
template <class Element>
class PackedConvolution {
 public:
  /// weight: OIHW in device memory, read in the stream.
  PackedConvolution(cudaStream_t stream, std::vector<ConvPass> passes, const float* weight)
      : stream_(stream),
        passes_(std::move(passes)),
        weight_(stream, passes_.back().weight_first + passes_.back().weight_size()) {
    pack_weight(stream, passes_, weight, weight_.data());
  }

  void run(const float* x, const ConvEpilogue& epilogue, float* y) const {
    const ConvPass& any = passes_.front();
    const FilledChannels<Element> filled(stream_, any.batch * any.in_h * any.in_w, any.channels, x);
    for (const ConvPass& pass : passes_) {
      const ConvTile tile = choose_conv_tile(pass.batch * pass.out_h * pass.out_w, pass.out_c);
      conv2d_gemm(stream_, pass, tile, filled.data(), weight_.data(), epilogue, y);
    }
  }

 private:
  cudaStream_t stream_;
  std::vector<ConvPass> passes_;
  StreamScratch<Element> weight_;
};

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
