#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/buffer.hpp"
#include "kernels/cpu/dense_kernels.hpp"
#include "kernels/cpu/product.hpp"

namespace pixeldp::kernels::cpu {

/// A dense layer, [outputs, inputs], both whole groups of 16. Its results have the bits of
/// Product's for the same layer, but it reads each weight once for dense_rows rows. Results are
/// fp32, bytes or both.
class DenseProduct : public PreparedProduct {
 public:
  DenseProduct(std::int64_t outputs, std::span<const float> weight, std::span<const float> shift,
               InstructionSet set = best_instruction_set());
  /// Rows are bytes (zero_byte), multiplied in 16 bits.
  DenseProduct(std::int64_t outputs, std::span<const std::int8_t> weight,
               std::span<const float> scale, std::span<const float> shift,
               InstructionSet set = best_instruction_set());

  static bool takes(std::int64_t inputs, std::int64_t outputs);

  std::int64_t scratch_size(std::int64_t rows) const override;
  void run(std::int64_t rows, const void* x, const ProductResult& result,
           void* scratch) const override;

 private:
  DenseProduct(std::int64_t inputs, std::int64_t outputs, std::int64_t word_inputs,
               std::span<const float> shift);
  template <class Element, class Weight>
  void pack(std::span<const Weight> weight, std::int64_t panel_words);
  std::int64_t sum_stride() const { return outputs_ + group_outputs; }

  std::int64_t inputs_, outputs_, words_;
  DenseFunction function_ = nullptr;
  decltype(ProductKernels::widen) widen_ = nullptr;  ///< of rows of bytes; else null
  Buffer<std::uint32_t> weight_;
  std::vector<float> scale_, shift_;
};

/// Word i of output o in a weight of `words` words an output, where panels before it are whole: see
/// DenseBlock.
std::int64_t panel_place(std::int64_t words, std::int64_t panel_words, std::int64_t outputs,
                         std::int64_t i, std::int64_t o);

}  // namespace pixeldp::kernels::cpu
