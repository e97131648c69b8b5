#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/cuda/on_devices.hpp"
#include "kernels/device_operation.hpp"

namespace pixeldp::kernels {

/// What a row operation reads: rows that follow each other in device memory, in fp32, or as the
/// bits of bf16.
struct RowOperand {
  const void* values = nullptr;
  bool bf16 = false;
};
/// Gives the work of one run to the stream: y, in fp32, is made of what is read.
using RowWork = std::function<void(std::span<const RowOperand> x, float* y)>;

/// Blocks of 256 threads that make so many values. Throws an Error for more than one launch can do.
unsigned row_blocks(std::int64_t values);

// Row operations for so many rows, with everything in device memory, of any alignment; T is float,
// or std::uint16_t for the bits of bf16. Results have the bits of the processor, except that one
// which is not a number may be another. `stream` is a cudaStream_t (in `emulated`, of the
// emulator). All return before the work is done. prepare_rows copies what the operation needs to
// the device, in the stream; the places of select are of pixels, then of channels; put_channels
// copies pixels of `channels` values to pixels of `of` values, from channel `first` on.

PIXELDP_ON_DEVICES(  //
    RowWork prepare_rows(void* stream, const DeviceOperation& operation, std::int64_t rows);

    template <class T> void pointwise(void* stream, const PointwiseFunction& function,
                                      std::int64_t values, const T* x, float* y);
    template <class T> void select(void* stream, const SelectionRow& row, std::int64_t rows,
                                   const std::int64_t* places, const T* x, float* y);
    template <class T> void put_channels(void* stream, std::int64_t pixels, std::int64_t channels,
                                         std::int64_t first, std::int64_t of, const T* x, float* y);
    template <class A, class B> void multiply(void* stream, const MultiplicationRow& row,
                                              std::int64_t rows, const A* a, const B* b, float* y);
    template <class T> void window_pool(void* stream, const WindowPoolShape& shape,
                                        std::int64_t rows, const T* x, float* y);
    template <class T> void grouped_convolution(void* stream, const GroupedSpan& span,
                                                std::int64_t rows, const T* x, float* y);)

}  // namespace pixeldp::kernels
