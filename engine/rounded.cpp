#include "engine/rounded.hpp"

#include <limits>

#include <fmt/format.h>

namespace pixeldp {

std::string rounded(double value, bool down, int digits) {
  if (value == 0.0 || value == 1.0) return fmt::format("{}", value);
  constexpr double smallest = std::numeric_limits<double>::min();
  if (value < smallest) return down ? "0" : rounded(smallest, false, digits);
  // All digits of the double: 767 are the most that one has.
  const std::string exact = fmt::format("{:.767e}", value);
  const std::size_t e = exact.find('e'), kept = static_cast<std::size_t>(digits) + 1;
  long number = std::stol(exact.substr(0, 1) + exact.substr(2, kept - 2));
  const bool cut = exact.find_first_not_of('0', kept) < e;
  if (cut && !down) ++number;
  // So few digits name a double that prints as these again.
  const long exponent = std::stol(exact.substr(e + 1)) - digits + 1;
  return fmt::format("{:.{}g}", std::stod(fmt::format("{}e{}", number, exponent)), digits);
}

}  // namespace pixeldp
