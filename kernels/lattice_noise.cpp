#include "kernels/lattice_noise.hpp"

#include <algorithm>

#include "engine/error.hpp"
#include "kernels/cpu/simd.hpp"

namespace pixeldp::kernels {
namespace {

using Real = __float128;

constexpr int rows_of_scale = 1 << (lattice_bits - cell_bits);

Real power(Real base, std::int64_t exponent) {
  Real result = 1;
  for (; exponent > 0; exponent /= 2, base *= base)
    if (exponent % 2 == 1) result *= base;
  return result;
}

/// exp(-1 / 512), of which the exponentials of both laws at multiples of 1/16 are powers.
Real unit_decay() {
  Real sum = 0, term = 1;
  for (int j = 1; j < 20; ++j) {
    sum += term;
    term *= Real(-1) / (512 * j);
  }
  return sum;
}

/// sqrt(2 / pi), by Newton's method from pi in three parts.
Real twice_density_at_zero() {
  const Real pi =
      Real(0x1.921fb54442d18p1) + Real(0x1.1a62633145c07p-53) + Real(-0x1.f1976b7ed8fbcp-109);
  Real root = 0.79788456080286541;
  for (int i = 0; i < 4; ++i) root = (root + 2 / (pi * root)) / 2;
  return root;
}

/// P(|z| > t + x) as a power series in x about t = row / 16.
template <int count>
void gaussian_series(int row, Real (&a)[count]) {
  static const Real decay = unit_decay(), at_zero = twice_density_at_zero();
  const Real t = Real(row) / rows_of_scale;
  const Real density = at_zero * power(decay, std::int64_t{row} * row);  // exp(-t^2 / 2)
  // 1 - 2 phi(t) (t + t^3 / 3 + t^5 / 15 + ...)
  Real sum = 0, term = t;
  for (int odd = 3; term > sum * 0x1p-115; odd += 2) {
    sum += term;
    term *= t * t / odd;
  }
  a[0] = 1 - density * sum;
  a[1] = -density;
  // f'' = -z f'
  for (int j = 0; j + 2 < count; ++j)
    a[j + 2] = -(t * (j + 1) * a[j + 1] + j * a[j]) / ((j + 2) * (j + 1));
}

template <int count>
void laplace_series(int row, Real (&a)[count]) {
  static const Real decay = unit_decay();
  a[0] = power(decay, 512 / rows_of_scale * row);
  for (int j = 1; j < count; ++j) a[j] = -a[j - 1] / j;
}

std::int64_t rounded(Real value) {
  return static_cast<std::int64_t>(value < 0 ? value - Real(0.5) : value + Real(0.5));
}

/// Multiples of 1/16 up to where less than 2^-64 is left.
int rows_of(NoiseDistribution distribution) {
  switch (distribution) {
    case NoiseDistribution::none:
      break;
    case NoiseDistribution::gaussian:
      return 10 * rows_of_scale;
    case NoiseDistribution::laplace:
      return 45 * rows_of_scale;
  }
  fail("noise on a lattice is Gaussian or Laplace, not {}", static_cast<int>(distribution));
}

}  // namespace

TailTable::TailTable(NoiseDistribution distribution)
    : rows_(static_cast<std::size_t>(rows_of(distribution))) {
  for (int row = 0; row < static_cast<int>(rows_.size()); ++row) {
    Real a[LatticeTail::terms + 1];
    if (distribution == NoiseDistribution::gaussian)
      gaussian_series(row, a);
    else
      laplace_series(row, a);
    LatticeTail::Row& kept = rows_[static_cast<std::size_t>(row)];
    kept.value = static_cast<std::uint64_t>(std::max(Real(0), a[0]) * 0x1p63 + Real(0.5));
    Real unit = 0x1p67;
    for (int j = 0; j < LatticeTail::terms; ++j) {
      unit /= 2 * rows_of_scale;
      kept.slope[j] = rounded(a[j + 1] * unit);
    }
  }
}

const TailTable& TailTable::of(NoiseDistribution distribution) {
  if (distribution == NoiseDistribution::gaussian) {
    static const TailTable table(NoiseDistribution::gaussian);
    return table;
  }
  static const TailTable table(NoiseDistribution::laplace);
  rows_of(distribution);  // refuses any other
  return table;
}

double lattice_variation(NoiseDistribution distribution) {
  const double edges = rows_of(distribution) + 1.0;
  return (lattice_error * edges + 1.0) * 0x1p-63;
}

void check_lattice_noise(const NoiseParams& params, std::int64_t row_count, std::int64_t elements) {
  check_noise_arguments(params, row_count, elements);
  rows_of(params.distribution);
}

void add_lattice_noise(const NoiseParams& params, const NoiseRow* rows, std::int64_t row_count,
                       std::int64_t elements, const std::int32_t* prefix, float* y) {
  check_lattice_noise(params, row_count, elements);
  cpu::add_lattice_noise(cpu::best_instruction_set(), params, rows, row_count, elements, prefix, y);
}

}  // namespace pixeldp::kernels
