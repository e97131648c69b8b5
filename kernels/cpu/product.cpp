#include "kernels/cpu/product.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/error.hpp"
#include "kernels/cpu/simd_kernels.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels::cpu {
namespace {

bool multiplies_tiles(Precision precision, InstructionSet set) {
  return precision == Precision::int8 && set == InstructionSet::amx;
}

/// Of an element as it is multiplied.
std::int64_t element_bytes(Precision precision, InstructionSet set) {
  switch (precision) {
    case Precision::fp32:
    case Precision::tf32:
      return 4;
    case Precision::bf16:
      return 2;
    case Precision::int8:
      return multiplies_bytes(set) ? 1 : 2;
  }
  fail("{} is no precision", static_cast<int>(precision));
}

/// Of a kernel row, as it is packed.
std::int64_t run_words(const Conv2dShape& row, Precision precision, InstructionSet set) {
  const std::int64_t words = row.kernel_w * divide_up(row.in_c * element_bytes(precision, set), 4);
  if (!multiplies_tiles(precision, set) || words < tile_words) return words;
  return divide_up(words, tile_words) * tile_words;
}

/// Whether tiles are better filled by `a` positions at a time than by `b`.
bool fill_tiles_better(std::int64_t a, std::int64_t b) {
  return a * divide_up(b, tile_positions) > b * divide_up(a, tile_positions);
}

SweepFunction sweep_for(Precision precision, InstructionSet set) {
  const ProductKernels& kernels = simd_kernels(set).products;
  SweepFunction sweep = nullptr;
  if (precision == Precision::fp32) sweep = kernels.fp32;
  if (precision == Precision::bf16 && cpu_features().bf16) sweep = avx512_dot_products.bf16;
  if (precision == Precision::int8) {
    if (!multiplies_bytes(set))
      sweep = kernels.int16;
    else
      sweep = set == InstructionSet::avx_vnni ? avx_vnni_products.int8 : avx512_dot_products.int8;
  }
  if (!sweep) fail("this processor has no products in the precision that was asked for");
  return sweep;
}

}  // namespace

bool multiplies_bytes(InstructionSet set) {
  if (set == InstructionSet::avx_vnni) return true;
  return (set == InstructionSet::avx512 || set == InstructionSet::amx) && cpu_features().vnni;
}

std::vector<float> scaled_weight(std::span<const float> weight, std::span<const float> scale) {
  std::vector<float> scaled(weight.begin(), weight.end());
  if (scale.empty()) return scaled;
  const std::size_t of_output = scaled.size() / scale.size();
  for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] *= scale[i / of_output];
  return scaled;
}

std::vector<std::uint16_t> rounded_to_bf16(std::span<const float> values) {
  std::vector<std::uint16_t> rounded(values.size());
  simd_kernels(best_instruction_set())
      .inference.scaling({.pixels = 1, .channels = std::ssize(rounded)}, Real::fp32, Real::bf16,
                         values.data(), {.real = rounded.data()});
  return rounded;
}

std::int64_t product_weight_bytes(const Conv2dShape& row, Precision precision, InstructionSet set) {
  return divide_up(row.out_c, group_outputs) * group_outputs * row.kernel_h * 4 *
         run_words(row, precision, set);
}

Product::Product(const Conv2dShape& row, Precision precision, std::span<const float> weight,
                 std::span<const float> shift, InstructionSet set)
    : row_(row) {
  lay_out(precision, set);
  if (precision == Precision::fp32) {
    pack(weight);
  } else {
    pack(std::span<const std::uint16_t>(rounded_to_bf16(weight)));
  }
  shift_ = whole_groups(shift);
}

Product::Product(const Conv2dShape& row, std::span<const std::int8_t> weight,
                 std::span<const float> scale, std::span<const float> shift, InstructionSet set)
    : row_(row) {
  lay_out(Precision::int8, set);
  scale_ = whole_groups(scale);
  shift_ = whole_groups(shift);
  const std::int64_t rows = row.kernel_h, outputs = groups_ * group_outputs;
  start_ = Buffer<std::int32_t>({}, (rows + 1) * (rows + 1) * outputs);
  if (widen_) {
    pack(std::span<const std::int16_t>(std::vector<std::int16_t>(weight.begin(), weight.end())));
    return;
  }
  pack(weight);
  // What is multiplied, padding included, is 128 too large.
  const std::int64_t taps = rows * row.kernel_w;
  for (std::int64_t o = 0; o < row.out_c; ++o) {
    std::vector<std::int32_t> up_to(static_cast<std::size_t>(rows + 1), 0);
    for (std::int64_t i = 0; i < row.in_c * taps; ++i)
      up_to[static_cast<std::size_t>(i % taps / row.kernel_w + 1)] -=
          std::int32_t{zero_byte} * weight[static_cast<std::size_t>(o * row.in_c * taps + i)];
    std::partial_sum(up_to.begin(), up_to.end(), up_to.begin());
    for (std::int64_t from = 0; from <= rows; ++from)
      for (std::int64_t to = from; to <= rows; ++to)
        start_.data()[(from * (rows + 1) + to) * outputs + o] =
            up_to[static_cast<std::size_t>(to)] - up_to[static_cast<std::size_t>(from)];
  }
}

void Product::lay_out(Precision precision, InstructionSet set) {
  if (std::min({row_.in_c, row_.out_c, row_.kernel_h, row_.kernel_w, row_.stride, row_.out_h(),
                row_.out_w()}) < 1)
    fail("{}x{}x{} values and {} kernels of {}x{} with stride {} make no convolution", row_.in_h,
         row_.in_w, row_.in_c, row_.out_c, row_.kernel_h, row_.kernel_w, row_.stride);
  sweep_ = sweep_for(precision, set);
  element_bytes_ = element_bytes(precision, set);
  if (element_bytes_ == 1) zero_ = std::byte{zero_byte};
  if (precision == Precision::int8 && element_bytes_ == 2)
    widen_ = simd_kernels(set).products.widen;
  const std::int64_t per_word = 4 / element_bytes_;
  pixel_words_ = divide_up(row_.in_c, per_word);
  groups_ = divide_up(row_.out_c, group_outputs);
  padded_h_ = row_.in_h + row_.pad_h.before + row_.pad_h.after;
  padded_w_ = row_.in_w + row_.pad_w.before + row_.pad_w.after;
  image_words_ = padded_h_ * padded_w_ * pixel_words_;
  run_words_ = run_words(row_, precision, set);
  in_place_ = !widen_ && padded_h_ == row_.in_h && padded_w_ == row_.in_w &&
              row_.in_c % per_word == 0 && run_words_ == row_.kernel_w * pixel_words_;
  // Enough positions for each read of the weight, but what is padded is to stay in the cache.
  constexpr std::int64_t wanted = 256, cached = 512 << 10;
  const std::int64_t positions = row_.out_h() * row_.out_w();
  images_ = std::clamp<std::int64_t>(std::min(wanted / positions, cached / image_bytes()), 1, 64);
  if (multiplies_tiles(precision, set)) return lay_out_tiles();
  for (std::int64_t n = 0; n < images_; ++n)
    for (std::int64_t p = 0; p < row_.out_h(); ++p)
      for (std::int64_t q = 0; q < row_.out_w(); ++q) positions_.push_back(position(n, p, q));
}

void Product::lay_out_tiles() {
  // Images that share tiles lie an odd number of the cache's lines apart, so that their rows do not
  // share its places.
  if (!in_place_) image_words_ = (divide_up(image_words_, tile_words) | 1) * tile_words;
  constexpr std::int64_t cached = 1 << 20;
  if (fill_tiles_better(tile_positions, row_.out_w()) && tile_positions * image_bytes() <= cached)
    images_ = std::max(images_, tile_positions) / tile_positions * tile_positions;
  const std::int64_t wide = row_.out_w();
  const auto tile = [&](std::int64_t n, std::int64_t p, std::int64_t q) {
    return PositionTile{position(n, p, q), (n * row_.out_h() + p) * wide + q};
  };
  for (std::int64_t n = 0; n < images_; ++n)
    for (std::int64_t p = 0; p < row_.out_h(); ++p) {
      for (std::int64_t q = 0; q < wide; ++q) {
        if (n % tile_positions == 0) image_tiles_.push_back(tile(n, p, q));
        if (q % tile_positions > 0) continue;
        (q + tile_positions <= wide ? row_tiles_ : last_tiles_).push_back(tile(n, p, q));
      }
    }
}

ProductPosition Product::position(std::int64_t n, std::int64_t p, std::int64_t q) const {
  const std::int64_t top = p * row_.stride, end = row_.pad_h.before + row_.in_h;
  const auto row_of = [&](std::int64_t h) {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(h - top, 0, row_.kernel_h));
  };
  return {.at = n * image_words_ + (top * padded_w_ + q * row_.stride) * pixel_words_,
          .from = row_of(row_.pad_h.before),
          .to = row_of(end)};
}

template <class Element>
void Product::pack(std::span<const Element> weight) {
  const std::int64_t taps = row_.kernel_h * row_.kernel_w;
  constexpr std::int64_t per_word = 4 / static_cast<std::int64_t>(sizeof(Element));
  const std::int64_t group_words = row_.kernel_h * run_words_ * group_outputs;
  weight_ = Buffer<std::uint32_t>({}, groups_ * group_words);
  auto* const packed = reinterpret_cast<Element*>(weight_.data());
  for (std::int64_t o = 0; o < row_.out_c; ++o)
    for (std::int64_t c = 0; c < row_.in_c; ++c)
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::int64_t of_row = tap % row_.kernel_w * pixel_words_ + c / per_word;
        const std::int64_t word = o / group_outputs * group_words +
                                  (tap / row_.kernel_w * run_words_ + of_row) * group_outputs +
                                  o % group_outputs;
        packed[word * per_word + c % per_word] =
            weight[static_cast<std::size_t>((o * row_.in_c + c) * taps + tap)];
      }
}

Buffer<float> Product::whole_groups(std::span<const float> values) const {
  Buffer<float> whole({}, groups_ * group_outputs);
  std::ranges::copy(values, whole.data());
  return whole;
}

std::int64_t Product::scratch_size(std::int64_t rows) const {
  if (in_place_) return 0;
  // A tile may read beyond its run what it multiplies by 0.
  const std::int64_t beyond = image_tiles_.empty() ? 0 : 4 * tile_words;
  return std::min(rows, images_) * image_bytes() + beyond;
}

void Product::pad(const std::byte* row, std::byte* image) const {
  const auto fill = [&](std::int64_t bytes) {
    std::memset(image, std::to_integer<int>(zero_), static_cast<std::size_t>(bytes));
    image += bytes;
  };
  const auto copy = [&](std::int64_t bytes) {
    if (widen_) {
      const std::int64_t count = bytes / element_bytes_;
      widen_(count, reinterpret_cast<const std::uint8_t*>(row),
             reinterpret_cast<std::int16_t*>(image));
      row += count;
    } else {
      std::memcpy(image, row, static_cast<std::size_t>(bytes));
      row += bytes;
    }
    image += bytes;
  };
  const std::int64_t pixel = 4 * pixel_words_, values = row_.in_c * element_bytes_;
  const std::int64_t sides = row_.pad_w.before + row_.pad_w.after;
  fill((row_.pad_h.before * padded_w_ + row_.pad_w.before) * pixel);
  for (std::int64_t h = 0; h < row_.in_h; ++h) {
    if (h > 0) fill(sides * pixel);
    if (values == pixel) {
      copy(row_.in_w * pixel);
      continue;
    }
    std::int64_t w = 0;
    // What fills up a pixel of bytes is multiplied by 0: the next one will do.
    if (element_bytes_ == 1)
      for (; (row_.in_w - w) * values >= pixel; ++w, row += values)
        for (std::int64_t i = 0; i < pixel; i += 4, image += 4) std::memcpy(image, row + i, 4);
    for (; w < row_.in_w; ++w) {
      copy(values);
      fill(pixel - values);
    }
  }
  fill((row_.pad_h.after * padded_w_ + row_.pad_w.after) * pixel);
}

void Product::sweep_tiles(const ProductSweep& sweep, std::int64_t images) const {
  TileSweep tiles{sweep};
  const auto some = [&](const std::vector<PositionTile>& all, std::int64_t first,
                        std::int64_t count, std::int64_t of_tile) {
    if (count == 0) return;
    tiles.tiles = all.data() + first;
    tiles.count = count;
    tiles.tile_rows = of_tile;
    amx_sweep(tiles);
  };
  const std::int64_t wide = row_.out_w(), high = row_.out_h();
  if (fill_tiles_better(images, wide)) {
    tiles.x_step = image_words_;
    tiles.result_step = high * wide;
    const std::int64_t whole = images / tile_positions * high * wide,
                       left = images % tile_positions;
    some(image_tiles_, 0, whole, tile_positions);
    some(image_tiles_, whole, left > 0 ? high * wide : 0, left);
  } else {
    tiles.x_step = row_.stride * pixel_words_;
    tiles.result_step = 1;
    some(row_tiles_, 0, images * high * (wide / tile_positions), tile_positions);
    some(last_tiles_, 0, wide % tile_positions > 0 ? images * high : 0, wide % tile_positions);
  }
}

void Product::run(std::int64_t rows, const void* x, const ProductResult& result,
                  void* scratch) const {
  if (!image_tiles_.empty() && result.kind != Real::fp32) fail("results of AMX are fp32");
  const std::int64_t row_bytes = row_.in_h * row_.in_w * row_.in_c * (widen_ ? 1 : element_bytes_);
  const std::int64_t outputs = row_.out_h() * row_.out_w() * row_.out_c;
  const std::int64_t real_bytes = result.kind == Real::bf16 ? 2 : 4;
  ProductSweep sweep{.positions = positions_.data(),
                     .rows = row_.kernel_h,
                     .run = run_words_,
                     .row_stride = padded_w_ * pixel_words_,
                     .weight = weight_.data(),
                     .groups = groups_,
                     .start = start_.data(),
                     .epilogue = {.outputs = row_.out_c,
                                  .scale = scale_.data(),
                                  .shift = shift_.data(),
                                  .slope = result.activation.slope,
                                  .residual = result.residual,
                                  .to = result.kind,
                                  .target = result.target}};
  ProductEpilogue& epilogue = sweep.epilogue;
  for (std::int64_t first = 0; first < rows; first += images_) {
    const std::int64_t count = std::min(images_, rows - first);
    const auto* const from = static_cast<const std::byte*>(x) + first * row_bytes;
    auto* const images = static_cast<std::byte*>(scratch);
    if (!in_place_)
      for (std::int64_t i = 0; i < count; ++i)
        pad(from + i * row_bytes, images + i * image_bytes());
    sweep.images = reinterpret_cast<const std::uint32_t*>(in_place_ ? from : images);
    sweep.count = count * row_.out_h() * row_.out_w();
    if (image_tiles_.empty())
      sweep_(sweep);
    else
      sweep_tiles(sweep, count);
    const std::int64_t made = count * outputs;
    if (epilogue.residual)
      epilogue.residual = static_cast<const std::byte*>(epilogue.residual) + made * real_bytes;
    if (epilogue.target.real)
      epilogue.target.real = static_cast<std::byte*>(epilogue.target.real) + made * real_bytes;
    if (epilogue.target.bytes) epilogue.target.bytes += made;
  }
}

}  // namespace pixeldp::kernels::cpu
