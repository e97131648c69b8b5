#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/buffer.hpp"
#include "kernels/cpu/product.hpp"
#include "kernels/cpu/winograd_kernels.hpp"

namespace pixeldp::kernels::cpu {

/// A convolution of a shape that takes_winograd (kernels/inference.hpp), by a quarter of the
/// multiplications: kernels/cpu/winograd_kernels.hpp tells how. In fp32 the result is rounded
/// otherwise than Product's (its error is at most 6e-5 of the root mean square of the results,
/// where Product's is 8e-6); of bytes it has the very same bits. Results are fp32, bytes or both.
/// Values of bf16, and weights rounded to it, are multiplied in fp32, to fp32 or bf16: these bits,
/// unlike a Product's, are the same on every processor.
class Winograd : public PreparedProduct {
 public:
  /// Rows are fp32 or bf16.
  Winograd(const Conv2dShape& row, Precision precision, std::span<const float> weight,
           std::span<const float> shift, InstructionSet set = best_instruction_set());
  /// The weight must be `exact`.
  Winograd(const Conv2dShape& row, std::span<const std::int8_t> weight,
           std::span<const float> scale, std::span<const float> shift,
           InstructionSet set = best_instruction_set());

  /// Whether sums of bytes are: those of a weight with `outputs` outputs, of which none has weights
  /// that add up, in magnitude, to more than 262,143, so that 64 times a sum fits 32 bits.
  static bool exact(std::span<const std::int8_t> weight, std::int64_t outputs);

  std::int64_t scratch_size(std::int64_t rows) const override;
  void run(std::int64_t rows, const void* x, const ProductResult& result,
           void* scratch) const override;

 private:
  void lay_out(InstructionSet set);
  /// Transforms it in `Value` and keeps it as `Element`.
  template <class Value, class Element, class Weight>
  void pack(std::span<const Weight> weight);
  std::int64_t slab(std::int64_t rows) const;

  Conv2dShape row_;
  Precision precision_;
  WinogradFunction function_ = nullptr;
  std::int64_t panel_words_ = 0, tile_words_ = 0;
  std::vector<std::int64_t> words_;  ///< by position
  std::vector<std::byte> padding_;   ///< a pixel of it
  Buffer<std::uint32_t> weight_;
  std::vector<float> scale_, shift_;
};

/// Tiles of a row's result.
std::int64_t winograd_tiles_of(const Conv2dShape& row);
/// Bytes of the transformed weight.
std::int64_t winograd_weight_bytes(const Conv2dShape& row, Precision precision);

}  // namespace pixeldp::kernels::cpu
