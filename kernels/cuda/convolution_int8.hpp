#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/arch.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/cuda/int8_values.hpp"
#include "kernels/cuda/on_devices.hpp"

/// Convolutions in int8 on tensor cores (kernels/inference.hpp): for what comes after the noise.
namespace pixeldp::kernels {

/// What is done to a sum before it is written, each operation rounded once, in this order:
///
///   value = activation(sum * scale[o] + shift[o] + residual)                       to y
///   next_activation(value * next_scale[o] + next_shift[o])                         to next
///
/// All in device memory. scale has a value per channel and is not null; shift, null: 0. A residual,
/// null: none, has the layout of y, as have all targets. Where next is somewhere, next_scale and
/// next_shift are not null.
struct Int8Epilogue {
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* residual = nullptr;
  Activation activation = {};
  Int8Target y = {};
  const float* next_scale = nullptr;
  const float* next_shift = nullptr;
  Activation next_activation = {};
  Int8Target next = {};

  constexpr bool writes_next() const { return next.real != nullptr || next.bytes != nullptr; }
  /// Whether four of so many channels of residuals and reals always lie aligned together.
  bool is_vectorised(std::int64_t channels) const;
  /// Why no kernel can do this with sums of so many channels: scales that are not there, bytes that
  /// are not aligned to 4 or whose pixels are no multiples of that. Empty: it can.
  std::string_view obstacle(std::int64_t channels) const;
};

/// Bytes that a multiprocessor gets from the L2 cache in a clock.
inline constexpr double l2_bytes_per_clock = 64.0;

/// What makes a convolution: warpgroups, by tiles of so many channels (WgmmaInt8Time), or, where
/// there are none, mma.sync by this tile.
struct Int8ConvKernel {
  int wgmma_channels = 0;
  ConvTile tile;

  /// Of the least time; of tiles as choose_conv_tile. mma.sync is taken for two thirds of the rate
  /// of warpgroups. The choice does not change the result.
  static Int8ConvKernel choose(const Conv2dShape& shape, const Arch& arch);
  bool operator==(const Int8ConvKernel&) const = default;
};

/// That of kernels/cuda/convolution_gemm.cuh. Throws an Error for what is no convolution, as
/// ConvPlan::of_tiles does, and for an epilogue with an obstacle.
ConvPlan int8_conv_plan(const Conv2dShape& shape, const ConvTile& tile, const void* x,
                        const void* weight, const Int8Epilogue& epilogue);

/// OIHW as the kernel reads it: [out_c, kernel_h, kernel_w, int8_channels(in_c)].
std::vector<std::int8_t> pack_int8_weight(const Conv2dShape& shape,
                                          std::span<const std::int8_t> weight);
/// How many bytes that are.
std::int64_t packed_int8_size(const Conv2dShape& shape);

// x [batch, in_h, in_w, int8_channels(in_c)] and weight packed, both aligned to 16 bytes; targets
// [batch, out_h, out_w, out_c]. Everything in device memory, `stream` a cudaStream_t (in
// `emulated`, of the emulator). Returns before the work is done. Sums are exact as long as 32 bits
// hold them, so that no result depends on the tile, on the kernel, or on the other images.

PIXELDP_ON_DEVICES(void conv2d_int8(void* stream, const Conv2dShape& shape, const ConvTile& tile,
                                    const std::int8_t* x, const std::int8_t* weight,
                                    const Int8Epilogue& epilogue);
                   void conv2d_int8(void* stream, const Conv2dShape& shape,
                                    const Int8ConvKernel& kernel, const std::int8_t* x,
                                    const std::int8_t* weight, const Int8Epilogue& epilogue);)

}  // namespace pixeldp::kernels
