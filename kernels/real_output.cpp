#include "kernels/real_output.hpp"

#include <cmath>

#include "engine/named.hpp"

namespace pixeldp::kernels {

std::string_view name(OutputKind kind) {
  switch (kind) {
    case OutputKind::sigmoid:
      return "sigmoid";
    case OutputKind::truncated:
      return "truncated";
    case OutputKind::unbounded:
      return "unbounded";
  }
  fail("not a kind of output: {}", static_cast<int>(kind));
}

OutputKind parse_output_kind(std::string_view text) {
  return value_named(text, "output", output_kinds, name);
}

double slope_of(OutputKind kind, double u) {
  switch (kind) {
    case OutputKind::sigmoid:
      return u * (1.0 - u);
    case OutputKind::truncated:
    case OutputKind::unbounded:
      return 1.0;
  }
  fail("not a kind of output: {}", static_cast<int>(kind));
}

std::string fault(const RealOutput& output) {
  constexpr double most = 1e6, least_width = 1e-6;
  const auto sane = [](double end) { return std::isfinite(end) && std::abs(end) <= most; };
  if (sane(output.low) && sane(output.high) && output.width() >= least_width) return {};
  return fmt::format(
      "the range of an output goes from a lower to a higher number, both within a million of 0, "
      "not from {} to {}",
      output.low, output.high);
}

OutputTotals& OutputTotals::operator+=(const OutputTotals& others) {
  positive += others.positive;
  positive_squares += others.positive_squares;
  negative += others.negative;
  negative_squares += others.negative_squares;
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += others.counts[i];
  return *this;
}

}  // namespace pixeldp::kernels
