#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/error.hpp"
#include "kernels/cuda/convolution_gemm.hpp"
#include "kernels/divide_up.hpp"

namespace pixeldp::kernels {
namespace {

/// One axis of a class of the data gradient: pixels a, a + stride, ... of dx. Tap k of the class's
/// kernel is tap last - k stride of the convolution's.
struct ResidueClass {
  std::int64_t pixels, taps, last, pad;

  ResidueClass(std::int64_t a, std::int64_t extent, std::int64_t kernel, std::int64_t stride,
               std::int64_t pad_before) {
    // Pixel a + i stride gets tap r from output p where p stride = a + i stride + pad_before - r.
    const std::int64_t first = (a + pad_before) % stride;
    pixels = divide_up(extent - a, stride);
    taps = divide_up(kernel - first, stride);
    last = first + (taps - 1) * stride;
    pad = taps - 1 - (a + pad_before) / stride;
  }
};

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

/// Calls f(class in h, class in w, a, b) for every class that has pixels.
template <class F>
void for_each_class(const Conv2dShape& s, F f) {
  for (std::int64_t a = 0; a < std::min(s.stride, s.in_h); ++a)
    for (std::int64_t b = 0; b < std::min(s.stride, s.in_w); ++b)
      f(ResidueClass(a, s.in_h, s.kernel_h, s.stride, s.pad_h.before),
        ResidueClass(b, s.in_w, s.kernel_w, s.stride, s.pad_w.before), a, b);
}

}  // namespace

double products_per_clock(int chunk, const Arch& arch) {
  switch (chunk) {
    case 4:
      return 0.5 * arch.tensor_products;
    case 8:
      return arch.tensor_products;
    case 16:
      return arch.int8_products;
  }
  fail("tensor cores multiply 4, 8 or 16 values of 16 bytes, not {}", chunk);
}

ConvTime ConvTime::of_blocks(std::int64_t blocks, std::int64_t steps, int chunk, const ConvTile& t,
                             const Arch& arch) {
  constexpr double chunk_bytes = 16.0, schedulers = 4.0, shared_bytes = 128.0, l2_bytes = 64.0;
  constexpr double step_mmas = 2.0, mma_m = 16.0, mma_n = 8.0;  // whatever the operands are
  const auto real = [](std::int64_t value) { return static_cast<double>(value); };
  const double block_bytes = real(t.m + t.n) * ConvTile::chunks * chunk_bytes;  // of a step
  const double read_bytes =
      real(t.m * t.n_warps + t.n * t.m_warps) * ConvTile::chunks * chunk_bytes;
  const double most_steps = real(divide_up(blocks, arch.multiprocessors) * steps);
  const double mmas = step_mmas * (t.m / mma_m) * (t.n / mma_n);
  const double products = real(t.m * t.n) * ConvTile::chunks * chunk;

  ConvTime time;
  time.tensor = most_steps * products / (products_per_clock(chunk, arch) * arch.clock);
  time.issue = most_steps * mmas * t.per_mma / (schedulers * arch.clock);
  time.shared = most_steps * (read_bytes + block_bytes) / (shared_bytes * arch.clock);
  time.l2 = std::max(most_steps * block_bytes / (l2_bytes * arch.clock),
                     real(blocks * steps) * block_bytes / (arch.l2_bytes_per_clock * arch.clock));
  return time;
}

ConvTime ConvTime::of(const ConvPass& pass, int chunk, const ConvTile& t, const Arch& arch) {
  const std::int64_t pixels = pass.batch * pass.out_h * pass.out_w;
  const std::int64_t taps_chunks = pass.kernel_h * pass.kernel_w * (pass.in_c / chunk);
  ConvTime time = of_blocks(divide_up(pixels, t.m) * divide_up(pass.out_c, t.n),
                            divide_up(taps_chunks, ConvTile::chunks), chunk, t, arch);
  time.dram = dram_of(pass, chunk, arch);
  return time;
}

ConvTime& ConvTime::operator+=(const ConvTime& more) {
  tensor += more.tensor, issue += more.issue, shared += more.shared;
  l2 += more.l2, dram += more.dram;
  return *this;
}

double ConvTime::dram_of(const ConvPass& pass, int chunk, const Arch& arch) {
  const std::int64_t values = pass.batch * pass.in_h * pass.in_w * pass.in_c + pass.weight_size() +
                              pass.batch * pass.out_h * pass.out_w * pass.out_c;
  constexpr int chunk_bytes = 16;
  return static_cast<double>(values * (chunk_bytes / chunk)) / arch.dram_bandwidth;
}

ConvTile choose_conv_tile(const ConvPass& pass, int chunk, const Arch& arch) {
  const auto time = [&](const ConvTile& tile) {
    const ConvTime least = ConvTime::of(pass, chunk, tile, arch);
    return std::pair(least.seconds(), least.sum());
  };
  return *std::ranges::min_element(conv_tiles, {}, time);
}

ConvPass ConvPass::forward(const Conv2dShape& s, int chunk) {
  check_conv2d_shape(s);
  ConvPass pass;
  pass.batch = s.batch, pass.in_h = s.in_h, pass.in_w = s.in_w;
  pass.channels = s.in_c, pass.in_c = divide_up(s.in_c, chunk) * chunk;
  pass.out_h = s.out_h(), pass.out_w = s.out_w(), pass.out_c = s.out_c;
  pass.kernel_h = s.kernel_h, pass.kernel_w = s.kernel_w, pass.stride = s.stride;
  pass.pad_h = s.pad_h.before, pass.pad_w = s.pad_w.before;
  pass.column = s.out_c, pass.row = s.out_w() * s.out_c, pass.image = s.out_h() * pass.row;
  pass.source_s = 1, pass.source_r = s.kernel_w, pass.source_c = s.kernel_h * s.kernel_w;
  pass.source_o = s.in_c * pass.source_c;
  return pass;
}

std::vector<ConvPass> ConvPass::backward_data(const Conv2dShape& s, int chunk) {
  check_conv2d_shape(s);
  std::vector<ConvPass> passes;
  std::int64_t weight_first = 0;
  const std::int64_t row = s.in_w * s.in_c;
  for_each_class(s,
                 [&](const ResidueClass& h, const ResidueClass& w, std::int64_t a, std::int64_t b) {
                   ConvPass pass;
                   pass.batch = s.batch, pass.in_h = s.out_h(), pass.in_w = s.out_w();
                   pass.channels = s.out_c, pass.in_c = divide_up(s.out_c, chunk) * chunk;
                   pass.out_h = h.pixels, pass.out_w = w.pixels, pass.out_c = s.in_c;
                   pass.kernel_h = h.taps, pass.kernel_w = w.taps;
                   pass.pad_h = h.pad, pass.pad_w = w.pad;
                   pass.first = a * row + b * s.in_c, pass.image = s.in_h * row;
                   pass.row = s.stride * row, pass.column = s.stride * s.in_c;
                   pass.weight_first = weight_first;
                   weight_first += pass.weight_size();
                   pass.source = h.last * s.kernel_w + w.last;
                   pass.source_s = -s.stride, pass.source_r = -s.stride * s.kernel_w;
                   pass.source_o = s.kernel_h * s.kernel_w, pass.source_c = s.in_c * pass.source_o;
                   passes.push_back(pass);
                 });
  return passes;
}

bool is_vectorised(const ConvPass& pass, const ConvEpilogue& epilogue, const void* y,
                   std::size_t y_bytes) {
  return (pass.out_c | pass.first | pass.image | pass.row | pass.column) % 4 == 0 &&
         address(y) % (4 * y_bytes) == 0 && address(epilogue.residual) % 8 == 0 &&
         address(epilogue.residual_fp32) % 16 == 0 && address(epilogue.next) % 8 == 0 &&
         (address(epilogue.scale) | address(epilogue.shift)) % 16 == 0;
}

namespace {

[[noreturn]] void refuse(const ConvPass& pass, std::string_view why) {
  fail(
      "tensor-core convolution of {} images {}x{}x{} to {}x{}x{} with kernels {}x{}, stride {}: {}",
      pass.batch, pass.in_h, pass.in_w, pass.in_c, pass.out_h, pass.out_w, pass.out_c,
      pass.kernel_h, pass.kernel_w, pass.stride, why);
}

}  // namespace

ConvPlan ConvPlan::make(const ConvPass& pass, int chunk, const ConvTile& tile, const void* x,
                        const void* weight, const ConvEpilogue& epilogue, const void* y,
                        std::size_t y_bytes) {
  if (epilogue.next != nullptr &&
      (epilogue.next_scale == nullptr || epilogue.next_shift == nullptr))
    refuse(pass, "what follows y has no scale or no shift");
  ConvPlan plan = of_tiles(pass, chunk, tile, x, weight);
  plan.vectorised = is_vectorised(pass, epilogue, y, y_bytes);
  return plan;
}

ConvPlan ConvPlan::of_tiles(const ConvPass& pass, int chunk, const ConvTile& tile, const void* x,
                            const void* weight) {
  if (std::find(std::begin(conv_tiles), std::end(conv_tiles), tile) == std::end(conv_tiles))
    refuse(pass, "there is no kernel of such a tile");
  if (pass.in_c % chunk != 0)
    refuse(pass,
           "the channels that are read must fill vectors of 16 bytes: fill them up with zeros");
  if ((address(x) | address(weight)) % 16 != 0)
    refuse(pass, "operands must be aligned to 16 bytes");

  // Positions are 16 bits in the kernel; the furthest pixel lies a tap beyond the last.
  constexpr std::int64_t most_position = 32767, most = 1 << 30, most_kernel = 15;
  const auto far = [&](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t pad) {
    return std::max({in, kernel, std::abs(pad), out, pass.stride}) > most_position ||
           (out - 1) * pass.stride + std::abs(pad) + kernel > most_position;
  };
  if (far(pass.in_h, pass.out_h, pass.kernel_h, pass.pad_h) ||
      far(pass.in_w, pass.out_w, pass.kernel_w, pass.pad_w))
    refuse(pass, "no extent may exceed 32767");
  // A row of the kernel is a bit of 16, and so is a column.
  if (pass.kernel_h > most_kernel || pass.kernel_w > most_kernel)
    refuse(pass, fmt::format("a kernel has at most {0} x {0} taps", most_kernel));
  // Offsets are 32 bits within the images that one tile can meet, and within a tile of the weight.
  const std::int64_t image_pixels = pass.out_h * pass.out_w;
  const std::int64_t images = (tile.m - 1) / std::max<std::int64_t>(image_pixels, 1) + 2;
  const std::int64_t in_chunks = pass.in_c / chunk;
  const auto too_many = [&](std::int64_t a, std::int64_t b) { return a > most / b; };
  if (in_chunks > 1 << 20 || pass.out_c > 1 << 20 ||
      too_many(images * in_chunks, (pass.in_h + pass.kernel_h + std::abs(pass.pad_h)) *
                                       (pass.in_w + pass.kernel_w + std::abs(pass.pad_w))) ||
      too_many(images, std::max<std::int64_t>(pass.image, 1)) ||
      too_many(tile.n * in_chunks, std::max<std::int64_t>(pass.kernel_h * pass.kernel_w, 1)))
    refuse(pass, "the images of one tile, or its kernels, exceed 2^30 values");
  const std::int64_t channel_tiles = divide_up(pass.out_c, tile.n);
  if (pass.batch > (std::int64_t{1} << 40) / std::max<std::int64_t>(image_pixels, 1) ||
      divide_up(pass.batch * image_pixels, tile.m) > most / channel_tiles)
    refuse(pass, "one launch has at most 2^30 tiles: make the batch smaller");

  const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
  ConvPlan plan;
  plan.pixels = pass.batch * image_pixels;
  plan.x_image = pass.in_h * pass.in_w * in_chunks;
  plan.y_first = pass.first, plan.y_image = pass.image;
  plan.y_row = to_int(pass.row), plan.y_column = to_int(pass.column);
  plan.in_h = to_int(pass.in_h), plan.in_w = to_int(pass.in_w), plan.in_chunks = to_int(in_chunks);
  plan.image_pixels = to_int(image_pixels);
  plan.out_w = to_int(pass.out_w), plan.out_c = to_int(pass.out_c);
  plan.kernel_h = to_int(pass.kernel_h);
  plan.kernel_w = std::max(to_int(pass.kernel_w), 1);  // the kernel divides by it
  plan.stride = to_int(pass.stride);
  plan.pad_h = to_int(pass.pad_h), plan.pad_w = to_int(pass.pad_w);
  plan.taps_chunks = to_int(pass.kernel_h * pass.kernel_w * in_chunks);
  plan.step_chunk = ConvTile::chunks % plan.in_chunks;
  plan.step_s = ConvTile::chunks / plan.in_chunks % plan.kernel_w;
  plan.step_r = ConvTile::chunks / plan.in_chunks / plan.kernel_w;
  plan.step_offset = (plan.step_r * plan.in_w + plan.step_s) * plan.in_chunks + plan.step_chunk;
  plan.row_offset = (plan.in_w - plan.kernel_w) * plan.in_chunks;
  plan.channel_tiles = to_int(channel_tiles);
  plan.blocks = static_cast<unsigned>(divide_up(plan.pixels, tile.m) * channel_tiles);
  return plan;
}

}  // namespace pixeldp::kernels
