#include "kernels/cpu/winograd.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "engine/error.hpp"
#include "kernels/cpu/dense_product.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/divide_up.hpp"
#include "kernels/inference.hpp"

namespace pixeldp::kernels::cpu {
namespace {

constexpr int n = winograd_inputs, side = 3;

/// The phases of a stride that have weights at this position. The third tap of a stride of 2 from
/// an odd pixel lies beyond 5 taps, and the last row and column of positions see no other.
std::int64_t phases_at(const Conv2dShape& row, int position) {
  if (row.stride == 1) return 1;
  const bool last_row = position / n == n - 1, last_column = position % n == n - 1;
  return last_row ? (last_column ? 1 : 2) : (last_column ? 3 : 4);
}

/// Of what is multiplied.
std::int64_t element_bytes(Precision precision) { return precision == Precision::int8 ? 2 : 4; }

WinogradFunction function_of(const WinogradKernels& kernels, Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return kernels.fp32;
    case Precision::bf16:
      return kernels.bf16;
    case Precision::int8:
      return kernels.int8;
    case Precision::tf32:
      break;
  }
  fail("Winograd's algorithm multiplies fp32, bf16 or int8, not {}", static_cast<int>(precision));
}

const WinogradKernels& kernels_for(Precision precision, InstructionSet set) {
  if (precision != Precision::int8 || !multiplies_bytes(set)) return simd_kernels(set).winograd;
  return set == InstructionSet::avx_vnni ? avx_vnni_winograd : avx512_dot_winograd;
}

/// Of a group of outputs.
template <class Value>
using Group = std::array<Value, group_outputs>;
template <class Value>
using Kernel = std::array<std::array<Group<Value>, side>, side>;
template <class Value>
using Tile = std::array<std::array<Group<Value>, n>, n>;

template <class Value>
void add_multiple(Group<Value>& sums, Value factor, const Group<Value>& values) {
  if (factor == Value{}) return;
#pragma omp simd
  for (std::size_t o = 0; o < sums.size(); ++o) sums[o] += factor * values[o];
}

/// G w Gt
template <class Value>
Tile<Value> transformed(const Value (&g)[n][side], const Kernel<Value>& w) {
  std::array<std::array<Group<Value>, side>, n> rows{};
  Tile<Value> tile{};
  for (int i = 0; i < n; ++i)
    for (int b = 0; b < side; ++b)
      for (int a = 0; a < side; ++a) add_multiple(rows[i][b], g[i][a], w[a][b]);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      for (int b = 0; b < side; ++b) add_multiple(tile[i][j], g[j][b], rows[i][b]);
  return tile;
}

Tile<double> transformed(const Kernel<double>& w) {
  static constexpr double g[n][side] = {{1.0 / 4, 0, 0},
                                        {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                        {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                        {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                        {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                        {0, 0, 1}};
  return transformed(g, w);
}
/// By rows that are multiplied to whole numbers: simd_winograd.hpp tells by what.
Tile<int> transformed(const Kernel<int>& w) {
  static constexpr int g[n][side] = {{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4},
                                     {1, 2, 4}, {1, -2, 4},   {0, 0, 3}};
  return transformed(g, w);
}

}  // namespace

std::int64_t winograd_tiles_of(const Conv2dShape& row) {
  return divide_up(row.out_h(), winograd_outputs) * divide_up(row.out_w(), winograd_outputs);
}

std::int64_t winograd_weight_bytes(const Conv2dShape& row, Precision precision) {
  std::int64_t phases = 0;
  for (int position = 0; position < winograd_positions; ++position)
    phases += phases_at(row, position);
  return phases * row.in_c * row.out_c * element_bytes(precision);
}

void Winograd::lay_out(InstructionSet set) {
  if (!takes_winograd(row_)) fail("{} is no convolution for Winograd's algorithm", describe(row_));
  const WinogradKernels& kernels = kernels_for(precision_, set);
  panel_words_ = kernels.panel_words;
  function_ = function_of(kernels, precision_);
  const std::int64_t per_word = 4 / element_bytes(precision_);
  tile_words_ = row_.stride * row_.stride * row_.in_c / per_word;
  for (int position = 0; position < winograd_positions; ++position)
    words_.push_back(phases_at(row_, position) * row_.in_c / per_word);
  weight_ = Buffer<std::uint32_t>({}, winograd_weight_bytes(row_, precision_) / 4);
}

template <class Value, class Element, class Weight>
void Winograd::pack(std::span<const Weight> weight) {
  constexpr std::int64_t per_word = 4 / static_cast<std::int64_t>(sizeof(Element));
  auto* const packed = reinterpret_cast<Element*>(weight_.data());
  const auto at = [&](int position, std::int64_t i, std::int64_t o) {
    return panel_place(words_[position], panel_words_, row_.out_c, i, o);
  };
  std::array<std::int64_t, winograd_positions> begin{};
  for (int position = 1; position < winograd_positions; ++position)
    begin[position] = begin[position - 1] + words_[position - 1] * row_.out_c;
  const std::int64_t taps = row_.kernel_h;
#pragma omp parallel for schedule(static)
  for (std::int64_t group = 0; group < row_.out_c; group += group_outputs)
    for (std::int64_t c = 0; c < tile_words_ * per_word; ++c) {
      const std::int64_t phase = c / row_.in_c, dy = phase / row_.stride, dx = phase % row_.stride;
      Kernel<Value> w{};
      for (std::int64_t o = 0; o < group_outputs; ++o) {
        const Weight* const from =
            weight.data() + ((group + o) * row_.in_c + c % row_.in_c) * taps * taps;
        for (int a = 0; a < side; ++a)
          for (int b = 0; b < side; ++b) {
            const std::int64_t r = a * row_.stride + dy, t = b * row_.stride + dx;
            if (r < taps && t < taps) w[a][b][o] = from[r * taps + t];
          }
      }
      const Tile<Value> tile = transformed(w);
      // Positions may be whole pages apart, so that a place in the cache does not last: each line
      // of the weight is written at once.
      for (int position = 0; position < winograd_positions; ++position) {
        if (c / per_word >= words_[position]) continue;
        Element* const to = packed +
                            (begin[position] + at(position, c / per_word, group)) * per_word +
                            c % per_word;
        for (std::int64_t o = 0; o < group_outputs; ++o)
          to[o * per_word] = static_cast<Element>(tile[position / n][position % n][o]);
      }
    }
}

Winograd::Winograd(const Conv2dShape& row, Precision precision, std::span<const float> weight,
                   std::span<const float> shift, InstructionSet set)
    : row_(row),
      precision_(precision),
      padding_(static_cast<std::size_t>(4 * row.in_c)),
      shift_(static_cast<std::size_t>(row.out_c)) {
  if (precision_ == Precision::int8) fail("weights of int8 are whole numbers");
  lay_out(set);
  if (precision_ == Precision::bf16) {
    std::vector<float> rounded;
    for (const std::uint16_t half : rounded_to_bf16(weight))
      rounded.push_back(std::bit_cast<float>(std::uint32_t{half} << 16));
    pack<double, float, float>(rounded);
  } else {
    pack<double, float>(weight);
  }
  std::ranges::copy(shift, shift_.begin());
}

Winograd::Winograd(const Conv2dShape& row, std::span<const std::int8_t> weight,
                   std::span<const float> scale, std::span<const float> shift, InstructionSet set)
    : row_(row),
      precision_(Precision::int8),
      padding_(static_cast<std::size_t>(row.in_c), std::byte{zero_byte}),
      scale_(scale.begin(), scale.end()),
      shift_(static_cast<std::size_t>(row.out_c)) {
  if (!exact(weight, row.out_c)) fail("sums of this weight are too large for Winograd's algorithm");
  lay_out(set);
  pack<int, std::int16_t>(weight);
  std::ranges::copy(shift, shift_.begin());
}

bool Winograd::exact(std::span<const std::int8_t> weight, std::int64_t outputs) {
  constexpr std::int64_t most = 262'143;  // times 64 * 127, below 2^31
  const std::size_t of_output = weight.size() / static_cast<std::size_t>(outputs);
  for (std::size_t first = 0; first < weight.size(); first += of_output) {
    std::int64_t sum = 0;
    for (const std::int8_t w : weight.subspan(first, of_output)) sum += std::abs(int{w});
    if (sum > most) return false;
  }
  return true;
}

std::int64_t Winograd::slab(std::int64_t rows) const {
  const std::int64_t together =
      std::min<std::int64_t>(winograd_tiles, rows * winograd_tiles_of(row_));
  return together * std::max(tile_words_, row_.out_c) + group_outputs;
}

std::int64_t Winograd::scratch_size(std::int64_t rows) const {
  return 4 * (winograd_positions + 1) * slab(rows);
}

void Winograd::run(std::int64_t rows, const void* x, const ProductResult& result,
                   void* scratch) const {
  if (result.kind != Real::fp32 && precision_ != Precision::bf16)
    fail("results of Winograd's algorithm are fp32, or bf16 of bf16");
  WinogradBlock block{.x = x,
                      .in_h = row_.in_h,
                      .in_w = row_.in_w,
                      .in_c = row_.in_c,
                      .out_h = row_.out_h(),
                      .out_w = row_.out_w(),
                      .step = row_.stride,
                      .top = row_.pad_h.before,
                      .left = row_.pad_w.before,
                      .padding = padding_.data(),
                      .weight = weight_.data(),
                      .words = words_.data(),
                      .scratch = static_cast<std::uint32_t*>(scratch),
                      .slab = slab(rows),
                      .epilogue = {.outputs = row_.out_c,
                                   .scale = scale_.data(),
                                   .shift = shift_.data(),
                                   .slope = result.activation.slope,
                                   .residual = result.residual,
                                   .to = result.kind,
                                   .target = result.target}};
  const std::int64_t tiles = rows * winograd_tiles_of(row_);
  for (; block.first < tiles; block.first += winograd_tiles) {
    block.count = std::min<std::int64_t>(winograd_tiles, tiles - block.first);
    function_(block);
  }
}

}  // namespace pixeldp::kernels::cpu
