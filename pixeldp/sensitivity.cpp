#include "pixeldp/sensitivity.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "pixeldp/singular_value.hpp"

namespace pixeldp {

namespace {

constexpr std::size_t one = 0, two = 1, inf = 2;  // indices of a NormTable
constexpr double unknown = std::numeric_limits<double>::infinity();

// Covers sums of `terms` values: each addition errs by at most half an epsilon of the sum.
double rounded_up(double value, std::int64_t terms) {
  return value * (1.0 + static_cast<double>(terms + 16) * std::numeric_limits<double>::epsilon());
}

void check_weight(std::span<const float> weight, std::int64_t size) {
  if (std::ssize(weight) != size)
    fail("sensitivity: the weight holds {} values, but its shape needs {}", weight.size(), size);
  for (std::size_t i = 0; i < weight.size(); ++i)
    if (!std::isfinite(weight[i]))
      fail("sensitivity: weight {} is {}; a model that diverged cannot be certified", i, weight[i]);
}

std::size_t index_of(AttackNorm norm) { return static_cast<std::size_t>(norm); }

// Sums of the absolute values, sums of the squares and largest value of a slice of the weight.
struct Slice {
  double sum = 0.0, squares = 0.0, largest = 0.0;

  void add(float value) {
    const double x = std::abs(static_cast<double>(value));
    sum += x;
    squares += x * x;
    largest = std::max(largest, x);
  }
};

Slice largest_of(const std::vector<Slice>& slices) {
  Slice largest;
  for (const Slice& s : slices) {
    largest.sum = std::max(largest.sum, s.sum);
    largest.squares = std::max(largest.squares, s.squares);
    largest.largest = std::max(largest.largest, s.largest);
  }
  return largest;
}

// What is known of a linear layer before its 2 -> 2 norm: the slices that one input meets
// (columns), those that make one output (rows), and the number of outputs of each row.
struct LayerSlices {
  std::vector<Slice> columns, rows;
  std::int64_t inputs = 0, outputs = 0, copies_of_row = 1;
  std::int64_t terms = 0;
};

NormTable norms_from(const LayerSlices& layer, double two_two, SensitivityForm form) {
  const Slice column = largest_of(layer.columns), row = largest_of(layer.rows);
  double row_sums = 0.0, row_sum_squares = 0.0, row_norms = 0.0;
  for (const Slice& r : layer.rows) {
    row_sums += r.sum;
    row_sum_squares += r.sum * r.sum;
    row_norms += std::sqrt(r.squares);
  }
  const auto copies = static_cast<double>(layer.copies_of_row);
  const auto n = static_cast<double>(layer.inputs), m = static_cast<double>(layer.outputs);
  const auto up = [&](double value) {
    return rounded_up(value, layer.terms + std::ssize(layer.rows));
  };
  if (form == SensitivityForm::tight)
    two_two = std::min(two_two, up(std::sqrt(column.sum * row.sum)));
  NormTable t;
  t[one] = {up(column.sum), up(std::sqrt(column.squares)), up(column.largest)};
  t[two] = {up(std::min(std::sqrt(m) * two_two, copies * row_norms)), two_two,
            up(std::sqrt(row.squares))};
  t[inf] = {up(std::min(copies * row_sums, std::sqrt(n * m) * two_two)),
            up(std::min(std::sqrt(n) * two_two, std::sqrt(copies * row_sum_squares))), up(row.sum)};
  return t;
}

// `by_residue`: a column is the taps of one input channel in one residue class of the stride.
LayerSlices slices_of(std::span<const float> weight, const ConvGeometry& g, bool by_residue) {
  const std::int64_t s = by_residue ? g.stride : 1;
  LayerSlices layer;
  layer.columns.resize(static_cast<std::size_t>(g.in_c * s * s));
  layer.rows.resize(static_cast<std::size_t>(g.out_c));
  layer.inputs = g.in_h * g.in_w * g.in_c;
  layer.outputs = g.out_h() * g.out_w() * g.out_c;
  layer.copies_of_row = g.out_h() * g.out_w();
  layer.terms = std::max(g.out_c, g.in_c) * g.kernel_h * g.kernel_w;
  std::size_t at = 0;
  for (std::int64_t o = 0; o < g.out_c; ++o)
    for (std::int64_t i = 0; i < g.in_c; ++i)
      for (std::int64_t y = 0; y < g.kernel_h; ++y)
        for (std::int64_t x = 0; x < g.kernel_w; ++x, ++at) {
          layer.columns[static_cast<std::size_t>((i * s + y % s) * s + x % s)].add(weight[at]);
          layer.rows[static_cast<std::size_t>(o)].add(weight[at]);
        }
  return layer;
}

void check_geometry(const ConvGeometry& g) {
  for (const std::int64_t extent :
       {g.in_h, g.in_w, g.in_c, g.out_c, g.kernel_h, g.kernel_w, g.stride})
    if (extent < 1) fail("sensitivity: an extent of a convolution is {}, not positive", extent);
}

double conv_two_two(std::span<const float> weight, const ConvGeometry& g, SensitivityForm form) {
  const double faithful = rounded_up(
      g.patch_norm() * singular_value_bound(weight, g.out_c, g.in_c * g.kernel_h * g.kernel_w), 0);
  if (form == SensitivityForm::faithful) return faithful;
  // The padded image and every patch lie on a torus of n + k positions without wrapping around, so
  // that the convolution is a part of the one on the torus. (One of n positions would not do.)
  const auto torus = [&](std::int64_t n, std::int64_t k) {
    return (n + k + g.stride - 1) / g.stride * g.stride;
  };
  return std::min(faithful,
                  polyphase_bound(weight, g.out_c, g.in_c, g.kernel_h, g.kernel_w, g.stride,
                                  torus(g.in_h, g.kernel_h), torus(g.in_w, g.kernel_w)));
}

}  // namespace

std::string_view name(SensitivityForm form) {
  switch (form) {
    case SensitivityForm::faithful:
      return "faithful";
    case SensitivityForm::tight:
      return "tight";
  }
  fail("not a form of the sensitivity: {}", static_cast<int>(form));
}

SensitivityForm parse_sensitivity_form(std::string_view text) {
  return value_named(text, "sensitivity form", sensitivity_forms, name);
}

double ConvGeometry::patch_norm() const {
  const auto patches = [this](std::int64_t k) { return (k + stride - 1) / stride; };
  return std::sqrt(static_cast<double>(patches(kernel_h) * patches(kernel_w)));
}

NormTable conv_norms(std::span<const float> weight, const ConvGeometry& geometry,
                     SensitivityForm form) {
  check_geometry(geometry);
  check_weight(weight, geometry.weight_size());
  return norms_from(slices_of(weight, geometry, form == SensitivityForm::tight),
                    conv_two_two(weight, geometry, form), form);
}

double identity_sensitivity(std::int64_t elements, AttackNorm attack_norm, Mechanism mechanism) {
  return sensitivity_of(identity_norms(elements), attack_norm, mechanism);
}

NormTable identity_norms(std::int64_t elements) {
  if (elements < 1) fail("sensitivity: an image of {} values", elements);
  const auto n = static_cast<double>(elements);
  const double root = rounded_up(std::sqrt(n), 0);
  return {{{1.0, 1.0, 1.0}, {root, 1.0, 1.0}, {n, root, 1.0}}};
}

NormTable standardise_norms(std::int64_t elements) {
  const NormTable identity = identity_norms(elements);
  NormTable two_two;
  for (auto& row : two_two) row.fill(unknown);
  two_two[two][two] = rounded_up(std::sqrt(static_cast<double>(elements)), 0);
  return compose(compose(identity, two_two), identity);
}

NormTable compose(const NormTable& first, const NormTable& second) {
  NormTable result;
  for (std::size_t p = 0; p < 3; ++p)
    for (std::size_t q = 0; q < 3; ++q) {
      result[p][q] = unknown;
      for (std::size_t r = 0; r < 3; ++r) {
        // A layer of zeros hides whatever is not known of the other.
        const bool zero = first[p][r] == 0.0 || second[r][q] == 0.0;
        const double product = zero ? 0.0 : rounded_up(first[p][r] * second[r][q], 0);
        result[p][q] = std::min(result[p][q], product);
      }
    }
  return result;
}

double largest_change(const NormTable& norms, AttackNorm attack_norm, Mechanism mechanism) {
  return norms[index_of(attack_norm)][index_of(norm_of(mechanism))];
}

double sensitivity_of(const NormTable& norms, AttackNorm attack_norm, Mechanism mechanism) {
  const double value = largest_change(norms, attack_norm, mechanism);
  if (!std::isfinite(value))
    fail("sensitivity: no finite bound from the {}-norm for {} noise is known", name(attack_norm),
         name(mechanism));
  return value;
}

}  // namespace pixeldp
