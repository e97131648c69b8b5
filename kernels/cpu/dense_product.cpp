#include "kernels/cpu/dense_product.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/cpu/simd_kernels.hpp"

namespace pixeldp::kernels::cpu {

std::int64_t panel_place(std::int64_t words, std::int64_t panel_words, std::int64_t outputs,
                         std::int64_t i, std::int64_t o) {
  const std::int64_t first = i / panel_words * panel_words,
                     panel = std::min(panel_words, words - first);
  return first * outputs + (o / group_outputs * panel + i - first) * group_outputs +
         o % group_outputs;
}

bool DenseProduct::takes(std::int64_t inputs, std::int64_t outputs) {
  return inputs > 0 && outputs > 0 && inputs % group_outputs == 0 && outputs % group_outputs == 0;
}

DenseProduct::DenseProduct(std::int64_t inputs, std::int64_t outputs, std::int64_t word_inputs,
                           std::span<const float> shift)
    : inputs_(inputs),
      outputs_(outputs),
      words_(inputs / word_inputs),
      weight_({}, words_ * outputs),
      shift_(static_cast<std::size_t>(outputs)) {
  if (!takes(inputs, outputs))
    fail("{} inputs and {} outputs are no whole groups of {}", inputs, outputs, group_outputs);
  std::ranges::copy(shift, shift_.begin());
}

DenseProduct::DenseProduct(std::int64_t outputs, std::span<const float> weight,
                           std::span<const float> shift, InstructionSet set)
    : DenseProduct(std::ssize(weight) / outputs, outputs, 1, shift) {
  const DenseKernels& kernels = simd_kernels(set).dense;
  function_ = kernels.fp32;
  pack<float>(weight, kernels.panel_words);
}

DenseProduct::DenseProduct(std::int64_t outputs, std::span<const std::int8_t> weight,
                           std::span<const float> scale, std::span<const float> shift,
                           InstructionSet set)
    : DenseProduct(std::ssize(weight) / outputs, outputs, 2, shift) {
  const DenseKernels& kernels = simd_kernels(set).dense;
  function_ = kernels.int16;
  widen_ = simd_kernels(set).products.widen;
  scale_.assign(scale.begin(), scale.end());
  pack<std::int16_t>(weight, kernels.panel_words);
}

template <class Element, class Weight>
void DenseProduct::pack(std::span<const Weight> weight, std::int64_t panel_words) {
  constexpr std::int64_t per_word = 4 / static_cast<std::int64_t>(sizeof(Element));
  auto* const packed = reinterpret_cast<Element*>(weight_.data());
  for (std::int64_t o = 0; o < outputs_; ++o)
    for (std::int64_t i = 0; i < inputs_; ++i)
      packed[panel_place(words_, panel_words, outputs_, i / per_word, o) * per_word +
             i % per_word] = weight[static_cast<std::size_t>(o * inputs_ + i)];
}

std::int64_t DenseProduct::scratch_size(std::int64_t rows) const {
  return 4 * std::min(rows, dense_rows) * (sum_stride() + (widen_ ? words_ : 0));
}

void DenseProduct::run(std::int64_t rows, const void* x, const ProductResult& result,
                       void* scratch) const {
  if (result.kind != Real::fp32) fail("results of a dense layer by panels are fp32");
  DenseBlock block{.words = words_,
                   .weight = weight_.data(),
                   .sums = static_cast<std::uint32_t*>(scratch),
                   .sum_stride = sum_stride(),
                   .epilogue = {.outputs = outputs_,
                                .scale = scale_.data(),
                                .shift = shift_.data(),
                                .slope = result.activation.slope,
                                .residual = result.residual,
                                .target = result.target}};
  std::uint32_t* const wide = block.sums + std::min(rows, dense_rows) * sum_stride();
  for (; block.first < rows; block.first += dense_rows) {
    block.count = std::min(dense_rows, rows - block.first);
    block.x = static_cast<const std::uint32_t*>(x) + block.first * words_;
    if (widen_) {
      widen_(block.count * inputs_, static_cast<const std::uint8_t*>(x) + block.first * inputs_,
             reinterpret_cast<std::int16_t*>(wide));
      block.x = wide;
    }
    function_(block);
  }
}

}  // namespace pixeldp::kernels::cpu
