#include "tests/margins/perturbed_functions.hpp"

#include <atomic>
#include <cmath>
#include <limits>

#include <dlfcn.h>

namespace pixeldp::margins {
namespace {

std::atomic<bool> perturbed = false;
std::atomic<Side> sides[4];
enum Function { of_log, of_exp, of_expm1, of_erfc };

// In extended precision the C library errs by less than a thousandth of the units meant here.
double worst(long double exact, int units, Function function) {
  const auto nearest = static_cast<double>(exact);
  if (nearest == 0.0 || !std::isfinite(nearest)) return nearest;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  thread_local std::uint64_t chance = 1;
  Side side = sides[function];
  if (side == Side::either) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    side = chance >> 63 ? Side::above : Side::below;
  }
  const bool up = side == Side::above;
  const double magnitude = std::abs(nearest);
  const long double unit =
      static_cast<long double>(std::nextafter(magnitude, infinity)) - magnitude;
  const long double most = exact + (up ? units * unit : -units * unit);
  auto result = static_cast<double>(most);
  if (up && result > most) result = std::nextafter(result, -infinity);
  if (!up && result < most) result = std::nextafter(result, infinity);
  return result;
}

template <class F>
F* of_library(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

Perturbed::Perturbed(Side log, Side exp, Side expm1, Side erfc) {
  sides[of_log] = log, sides[of_exp] = exp, sides[of_expm1] = expm1, sides[of_erfc] = erfc;
  perturbed = true;
}

Perturbed::Perturbed(int index)
    : Perturbed(index >= 16 || index & 1 ? (index >= 16 ? Side::either : Side::above) : Side::below,
                index >= 16 ? Side::either
                : index & 2 ? Side::above
                            : Side::below,
                index >= 16 ? Side::either
                : index & 4 ? Side::above
                            : Side::below,
                index >= 16 ? Side::either
                : index & 8 ? Side::above
                            : Side::below) {}

Perturbed::~Perturbed() { perturbed = false; }

}  // namespace pixeldp::margins

// The linker prefers these to the shared library's, wherever the program calls them.
using namespace pixeldp::margins;

extern "C" double log(double x) noexcept {
  static const auto library = of_library<double(double)>("log");
  return perturbed ? worst(logl(x), 1, of_log) : library(x);
}

extern "C" double log1p(double x) noexcept {
  static const auto library = of_library<double(double)>("log1p");
  return perturbed ? worst(log1pl(x), 1, of_log) : library(x);
}

extern "C" double exp(double x) noexcept {
  static const auto library = of_library<double(double)>("exp");
  return perturbed ? worst(expl(x), 1, of_exp) : library(x);
}

extern "C" double expm1(double x) noexcept {
  static const auto library = of_library<double(double)>("expm1");
  return perturbed ? worst(expm1l(x), 1, of_expm1) : library(x);
}

extern "C" double erfc(double x) noexcept {
  static const auto library = of_library<double(double)>("erfc");
  return perturbed ? worst(erfcl(x), 5, of_erfc) : library(x);
}
