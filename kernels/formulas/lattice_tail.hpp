#pragma once

#include <cstdint>

namespace pixeldp::kernels {

inline constexpr int lattice_bits = 20;  ///< 2^20 steps are a noise scale
inline constexpr int cell_bits = 16;     ///< 2^16 steps are a cell

/// T(d) of kernels/lattice_noise.hpp and the cells that follow from it, in whole numbers: the same
/// functions for processors and for GPUs, each of which has the rows of the table (TailTable) in
/// its own memory.
struct LatticeTail {
  static constexpr int terms = 10;
  struct Row {
    std::uint64_t value;        ///< T(2^16 row): 2^63 times the probability
    std::int64_t slope[terms];  ///< of powers of (d - 2^16 row) / 2^15, times 2^67; sums below 2^63
  };

  const Row* rows = nullptr;
  int count = 0;  ///< edges beyond that many cells are never reached

  /// T(d), d >= 1.
  [[gnu::always_inline]] constexpr std::uint64_t operator()(std::int64_t steps) const {
    const auto row = static_cast<int>((steps + (std::int64_t{1} << (cell_bits - 1))) >> cell_bits);
    if (row >= count) return 0;
    const Row& around = rows[row];
    const std::int64_t r = steps - (std::int64_t{row} << cell_bits);
    std::int64_t sum = around.slope[terms - 1];
#pragma GCC unroll 16
    for (int j = terms - 2; j >= 0; --j) sum = around.slope[j] + product(sum, r, 15);
    const std::int64_t change = product(sum, r, 19);
    const bool negative = change < 0 && around.value < static_cast<std::uint64_t>(-change);
    const std::uint64_t value = negative ? 0 : around.value + static_cast<std::uint64_t>(change);
    // Not beyond the values of the multiples before and behind: T never rises from one of them to
    // the next, not even where next to nothing is left.
    const auto before = static_cast<int>(steps >> cell_bits);
    const std::uint64_t most = rows[before].value,
                        least = before + 1 < count ? rows[before + 1].value : 0;
    return value > most ? most : value < least ? least : value;
  }

  /// The cell of n steps for a sign and m, as bit 63 and the others of `bits`: the last whose edge
  /// is reached, m < T(d), by as many comparisons whatever n and `bits` are. The first ones find
  /// the last multiple of 2^16 steps that is reached; one edge lies between it and the next.
  [[gnu::always_inline]] constexpr std::int32_t cell(std::int32_t n, std::uint64_t bits) const {
    const bool negative = bits >> 63 != 0;
    const std::uint64_t m = bits & ~(std::uint64_t{1} << 63);
    // floor(-x) = -1 - floor(x) but for whole x: of negative z the mirror image.
    const std::int64_t from = negative ? -std::int64_t{n} : n;
    constexpr int more_than_any_table = 1024;
    int reached = 0;  // m < T(0) = 2^63
    for (int ahead = more_than_any_table / 2; ahead > 0; ahead /= 2)
      if (reached + ahead < count && m < rows[reached + ahead].value) reached += ahead;
    const std::int64_t edge = (from >> cell_bits) + reached + 1;
    const std::int64_t last = m < (*this)((edge << cell_bits) - from) ? edge : edge - 1;
    return static_cast<std::int32_t>(negative ? -1 - last : last);
  }

 private:
  /// floor(a b / 2^shift), which fits 64 bits.
  [[gnu::always_inline]] static constexpr std::int64_t product(std::int64_t a, std::int64_t b,
                                                               int shift) {
    return static_cast<std::int64_t>((static_cast<__int128>(a) * b) >> shift);
  }
};

}  // namespace pixeldp::kernels
