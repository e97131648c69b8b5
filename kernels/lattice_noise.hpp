#pragma once

#include <cstdint>
#include <vector>

#include "kernels/formulas/lattice_tail.hpp"
#include "kernels/noise.hpp"

/// Noise whose law is known to the last bit, for certificates that hold on real processors.
///
/// Before the noise stand whole numbers n of steps, 2^-20 of the noise scale each; after it cells
/// of 2^16 steps, a sixteenth of the scale each:
///
///   cell = floor((n + 2^20 z) / 2^16),  z of the Gaussian or Laplace law of scale 1.
///
/// Why certificates of n + 2^20 z hold for cells: n is exact, so that the sum of real numbers is
/// the mechanism that the theorem speaks of, and the cell is a function of that sum alone, as is
/// all that follows (post-processing). No bit of a cell tells more of n than the sum does.
///
/// How it is made of random words: for u uniform in (0, 1) and a fair sign, z = +-t where
/// P(|z| > t) = u. Of u there are 63 bits, m = floor(2^63 u). Whether z carries n over the edge of
/// a cell d steps away is whether u < P(|z| > 2^-20 d), and is decided as m < T(d), T(d) being 2^63
/// P(|z| > 2^-20 d) to within lattice_error (TailTable). One edge is therefore decided otherwise
/// than by the theorem with probability lattice_error 2^-63, and all of a sign's edges that the
/// table knows, and what lies beyond, with lattice_variation at most: that is the total variation
/// between the law of a cell and that of the theorem. Rows of several elements have the sum of
/// theirs.
///
/// Only integers decide (kernels/formulas/lattice_tail.hpp), so that every processor and every GPU
/// gives the same cells. A quick guess in single precision finds those that are not near an edge
/// (kernels/cpu/simd_lattice.hpp, kernels/cuda/lattice_noise.cu): it is off by less than
/// lattice_guess steps, or else the integers are asked.
namespace pixeldp::kernels {

/// Values before the noise are at most so many steps from 0: 1024 noise scales.
inline constexpr std::int64_t most_lattice_steps = std::int64_t{1} << 30;
/// By how much T(d) may be off, in units of 2^-63.
inline constexpr int lattice_error = 3;
/// By how many steps the guess may be off.
inline constexpr int lattice_guess = 2;

/// T(d) of a law, for d >= 1: about each multiple of 2^16 steps the Taylor polynomial of degree 10,
/// made in 113 bits and evaluated in whole numbers.
///
/// Its error in units of 2^-63, all in all less than 2.5: the first coefficient 1/2; the others,
/// which are kept with 4 bits more, 10 / 32; each of 10 steps of Horner's rule 1/16, and the last
/// one 1; the rest of the series, of at most 2^-5 of the scale on either side, 1/64: the n-th
/// derivative of 2 Q is below 0.87 sqrt((n - 1)!), that of exp(-t) below 1.
///
/// T is limited to the values at the multiples on either side, so that it falls from one to the
/// next. They are off by 1/2 at most, and the true T(d) lies between the true ones: that makes no
/// error larger than 1/2 which was not, and others smaller.
class TailTable {
 public:
  /// Of Gaussian or Laplace noise; made once.
  static const TailTable& of(NoiseDistribution distribution);

  /// Its rows and what follows from them, while it lives.
  LatticeTail tail() const { return {rows_.data(), static_cast<int>(rows_.size())}; }

  std::uint64_t operator()(std::int64_t steps) const { return tail()(steps); }
  /// Edges beyond that many cells are never reached: their probability is below 2^-64.
  std::int64_t cells() const { return static_cast<std::int64_t>(rows_.size()); }
  /// LatticeTail::cell.
  std::int32_t cell(std::int32_t n, std::uint64_t bits) const { return tail().cell(n, bits); }

 private:
  explicit TailTable(NoiseDistribution distribution);

  std::vector<LatticeTail::Row> rows_;
};

/// Bounds the total variation between the cell of one element and that of the theorem.
double lattice_variation(NoiseDistribution distribution);

/// Where the lower halves of m have their words.
constexpr StreamTag lower_half(StreamTag tag) {
  return static_cast<StreamTag>(static_cast<std::uint32_t>(tag) | 1u << 31);
}

/// The width of a cell in noise scales.
inline constexpr float cell_width = 1.0f / (1 << (lattice_bits - cell_bits));

/// Throws the Error of add_lattice_noise.
void check_lattice_noise(const NoiseParams& params, std::int64_t row_count, std::int64_t elements);

/// y[r, e] = activation(cell * scale / 16 + scale / 32): the middle of the cell of prefix[rows[r]
/// .source, e] steps, otherwise as add_noise. The sign and the upper 31 bits of m are word e % 4 of
/// Philox::at(seed, tag, image, draw, e / 4), the lower 32 that of the same address with bit 31 of
/// the tag set (lower_half). On processors, by the calling thread alone; other devices have it in
/// kernels/cuda/lattice_noise.hpp. Throws an Error for noise that is neither Gaussian nor Laplace,
/// and for what add_noise refuses.
void add_lattice_noise(const NoiseParams& params, const NoiseRow* rows, std::int64_t row_count,
                       std::int64_t elements, const std::int32_t* prefix, float* y);

}  // namespace pixeldp::kernels
