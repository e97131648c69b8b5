#include "pixeldp/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "engine/named.hpp"

namespace pixeldp {

namespace {

// The noise kernel takes its scale as a float, so the next float above is the scale of the proof as
// well. The factor covers the rounding of the formulas below, where no product of doubles
// underflows: they are in extended precision.
double float_above(long double scale) {
  scale *= 1.0 + 8 * std::numeric_limits<double>::epsilon();
  auto above = static_cast<float>(scale);
  if (above < scale) above = std::nextafter(above, std::numeric_limits<float>::infinity());
  if (!std::isfinite(above)) fail_usage("a noise scale of {} is beyond the range of floats", scale);
  return above;
}

bool positive(double value) { return std::isfinite(value) && value > 0.0; }

}  // namespace

std::string_view name(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::none:
      return "none";
    case Mechanism::gaussian:
      return "gaussian";
    case Mechanism::laplace:
      return "laplace";
  }
  fail("not a mechanism: {}", static_cast<int>(mechanism));
}

Mechanism parse_mechanism(std::string_view text) {
  return value_named(text, "mechanism", mechanisms, name);
}

kernels::NoiseDistribution distribution_of(Mechanism mechanism) {
  using kernels::NoiseDistribution;
  switch (mechanism) {
    case Mechanism::none:
      return NoiseDistribution::none;
    case Mechanism::gaussian:
      return NoiseDistribution::gaussian;
    case Mechanism::laplace:
      return NoiseDistribution::laplace;
  }
  fail("not a mechanism: {}", static_cast<int>(mechanism));
}

AttackNorm norm_of(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::none:
      break;
    case Mechanism::gaussian:
      return AttackNorm::l2;
    case Mechanism::laplace:
      return AttackNorm::l1;
  }
  fail_usage("mechanism '{}' adds no noise: use gaussian or laplace", name(mechanism));
}

std::string_view name(AttackNorm norm) {
  switch (norm) {
    case AttackNorm::l1:
      return "1";
    case AttackNorm::l2:
      return "2";
    case AttackNorm::linf:
      return "inf";
  }
  fail("not an attack norm: {}", static_cast<int>(norm));
}

AttackNorm parse_attack_norm(std::string_view text) {
  return value_named(text, "attack norm", attack_norms, name);
}

void Calibration::check() const {
  if (mechanism == Mechanism::none) return;
  const auto require = [](bool met, const char* field, double value, const char* range) {
    if (!met) fail("calibration: {} is {}, but must be {}", field, value, range);
  };
  if (construction) {
    const auto& [bound, epsilon, delta] = *construction;
    require(std::isfinite(bound) && bound >= 0.0, "construction bound", bound,
            "finite and not negative");
    require(positive(epsilon), "epsilon", epsilon, "finite and above 0");
    switch (mechanism) {
      case Mechanism::none:
        break;
      case Mechanism::gaussian:
        require(epsilon <= 1.0, "epsilon", epsilon, "at most 1 for Gaussian noise");
        require(delta > 0.0 && delta < 1.0, "delta", delta, "between 0 and 1 for Gaussian noise");
        break;
      case Mechanism::laplace:
        require(delta >= 0.0 && delta < 1.0, "delta", delta, "at least 0 and below 1");
        break;
    }
  }
  require(positive(noise_scale), "noise scale", noise_scale, "finite and above 0");
  require(positive(sensitivity), "sensitivity", sensitivity,
          "finite and above 0: without a recorded sensitivity nothing can be certified");
  require(std::isfinite(lattice_step) && lattice_step >= 0.0, "lattice step", lattice_step,
          "finite and not negative");
  require(variation >= 0.0 && variation < 1.0, "variation", variation, "at least 0 and below 1");
  require(std::isfinite(prefix_error) && prefix_error >= 0.0, "prefix error", prefix_error,
          "finite and not negative");
}

Calibration uncharged(Calibration calibration) {
  calibration.variation = calibration.prefix_error = 0.0;
  return calibration;
}

bool same_but_for_rounding(double sensitivity, double other) {
  constexpr double rounding = 1e-9;
  return std::abs(sensitivity - other) <= rounding * std::max(sensitivity, other);
}

double noise_scale_for(Mechanism mechanism, double construction_bound, double epsilon, double delta,
                       double sensitivity) {
  if (mechanism == Mechanism::none)
    fail_usage("mechanism 'none' has no noise scale: use gaussian or laplace");
  if (!positive(construction_bound))
    fail_usage("construction bound {} is out of range: it must be finite and above 0",
               construction_bound);
  if (!positive(epsilon))
    fail_usage("epsilon {} is out of range: it must be finite and above 0", epsilon);
  if (!positive(sensitivity))
    fail_usage("sensitivity {} is out of range: it must be finite and above 0", sensitivity);
  const long double laplace = static_cast<long double>(sensitivity) * construction_bound / epsilon;
  switch (mechanism) {
    case Mechanism::none:  // refused above
    case Mechanism::gaussian:
      break;
    case Mechanism::laplace:
      return float_above(laplace);
  }
  if (epsilon > 1.0)
    fail_usage("epsilon {} is out of range: the Gaussian mechanism needs at most 1", epsilon);
  if (!(delta > 0.0 && delta < 1.0))
    fail_usage("delta {} is out of range: the Gaussian mechanism needs it between 0 and 1", delta);
  return float_above(std::sqrt(2 * std::log(1.25L / delta)) * laplace);
}

}  // namespace pixeldp
