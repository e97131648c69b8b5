#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/activation.hpp"
#include "kernels/cuda/on_devices.hpp"

namespace pixeldp::kernels {

/// How work on arrays of one size is shared out: a thread does `thread_elements` consecutive
/// elements at a time, and goes on a whole grid further while any are left.
struct ElementwiseGrid {
  static constexpr int block_threads = 256, thread_elements = 4;
  static constexpr int block_elements = block_threads * thread_elements;
  static constexpr std::int64_t most_blocks = 1 << 12;

  unsigned blocks = 0;
  bool aligned = false;  ///< all arrays begin at multiples of 16 bytes

  static ElementwiseGrid plan(std::int64_t size, std::initializer_list<const float*> arrays);
};

// activate, activation_backward and average_rows have the same bits as on a processor. repeat_row
// writes x [columns] to every row of y [rows, columns], in device memory; `stream` is a
// cudaStream_t (in `emulated`, of the emulator); it returns before the work is done.

PIXELDP_ON_DEVICES(  //
    void repeat_row(void* stream, std::int64_t rows, std::int64_t columns, const float* x,
                    float* y);)

}  // namespace pixeldp::kernels
