#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/buffer.hpp"
#include "kernels/activation.hpp"
#include "kernels/convolution.hpp"
#include "kernels/cpu/product_kernels.hpp"
#include "kernels/cpu/simd.hpp"

namespace pixeldp::kernels::cpu {

/// The epilogue of a Product, and where its results go (ProductEpilogue tells the formula).
struct ProductResult {
  Activation activation = Activation::identity();
  Real kind = Real::fp32;          ///< of target and residual
  InferenceTarget target = {};     ///< rows [out_h, out_w, out_c]
  const void* residual = nullptr;  ///< likewise; null: none
};

/// A weight (OIHW) with the scales of its outputs applied; empty: 1.
std::vector<float> scaled_weight(std::span<const float> weight, std::span<const float> scale);

/// To nearest, ties to even.
std::vector<std::uint16_t> rounded_to_bf16(std::span<const float> values);

/// A convolution, or a dense layer (a 1x1 convolution of one pixel), whose weight never changes
/// again, for any number of rows. A row's result has the same bits in any company, and, but for
/// bf16, on every processor.
///
/// Several threads may run it at once; each run is on the calling thread alone.
class PreparedProduct {
 public:
  virtual ~PreparedProduct() = default;
  /// Bytes that a run of up to so many rows needs, aligned to 64 bytes.
  virtual std::int64_t scratch_size(std::int64_t rows) const = 0;
  virtual void run(std::int64_t rows, const void* x, const ProductResult& result,
                   void* scratch) const = 0;
};

/// Whether a Product multiplies bytes as they are, which takes VNNI, of AVX-512 or AVX-VNNI.
bool multiplies_bytes(InstructionSet set = best_instruction_set());

/// Bytes of a Product's weight.
std::int64_t product_weight_bytes(const Conv2dShape& row, Precision precision,
                                  InstructionSet set = best_instruction_set());

/// By the definition: kernels/cpu/product_kernels.hpp tells the order of the sums.
class Product : public PreparedProduct {
 public:
  /// Rows are fp32 or, with Precision::bf16, bf16, to which the weight (OIHW) is rounded. Shift has
  /// out_c values, or none.
  Product(const Conv2dShape& row, Precision precision, std::span<const float> weight,
          std::span<const float> shift, InstructionSet set = best_instruction_set());
  /// Rows are bytes (zero_byte), multiplied as they are, with AMX in tiles, or in 16 bits; scale
  /// has out_c values.
  Product(const Conv2dShape& row, std::span<const std::int8_t> weight, std::span<const float> scale,
          std::span<const float> shift, InstructionSet set = best_instruction_set());

  std::int64_t scratch_size(std::int64_t rows) const override;
  void run(std::int64_t rows, const void* x, const ProductResult& result,
           void* scratch) const override;

 private:
  template <class Element>
  void pack(std::span<const Element> weight);
  void lay_out(Precision precision, InstructionSet set);
  void lay_out_tiles();
  Buffer<float> whole_groups(std::span<const float> values) const;
  std::int64_t image_bytes() const { return 4 * image_words_; }
  /// Of the output at (p, q) of image n.
  ProductPosition position(std::int64_t n, std::int64_t p, std::int64_t q) const;
  /// One row into scratch, with its padding.
  void pad(const std::byte* row, std::byte* image) const;
  void sweep_tiles(const ProductSweep& sweep, std::int64_t images) const;

  Conv2dShape row_;
  SweepFunction sweep_ = nullptr;
  std::int64_t element_bytes_ = 4;  ///< as it is multiplied
  std::byte zero_{};                ///< what padding is made of
  /// For rows of bytes that are multiplied in 16 bits; else null.
  decltype(ProductKernels::widen) widen_ = nullptr;
  std::int64_t padded_h_ = 0, padded_w_ = 0, pixel_words_ = 0, image_words_ = 0, groups_ = 0;
  std::int64_t run_words_ = 0;              ///< of a kernel row
  bool in_place_ = false;                   ///< rows are multiplied where they are
  std::int64_t images_ = 1;                 ///< that are padded and multiplied together
  std::vector<ProductPosition> positions_;  ///< of their outputs; none where there are tiles
  /// For AMX, of all images: tiles of tile_positions of a row of outputs, and those of what is left
  /// of it; or the output at one place in tile_positions images.
  std::vector<PositionTile> row_tiles_, last_tiles_, image_tiles_;
  Buffer<std::uint32_t> weight_;
  Buffer<std::int32_t> start_;
  Buffer<float> scale_, shift_;
};

}  // namespace pixeldp::kernels::cpu
