#include "tests/margins/exact.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include <boost/math/constants/constants.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <boost/multiprecision/cpp_int.hpp>

namespace pixeldp::exact {
namespace {

using Real = boost::multiprecision::number<boost::multiprecision::cpp_bin_float<50>,
                                           boost::multiprecision::et_off>;
using Quad = boost::multiprecision::cpp_bin_float_quad;  // 34 digits, for sums of many terms
using Integer = boost::multiprecision::cpp_int;
using kernels::MeanBound;
using kernels::RadiusRule;

// Values within 1e-38 of a double, relatively, are that double: what is computed here errs by less,
// and no true value comes so close by chance.
Around around(const Real& value) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double nearest = value.convert_to<double>();
  if (std::isinf(nearest)) return {std::numeric_limits<double>::max(), infinity};
  if (abs(value - nearest) <= abs(value) * Real("1e-38")) return {nearest, nearest};
  while (Real(nearest) > value) nearest = std::nextafter(nearest, -infinity);
  while (Real(std::nextafter(nearest, infinity)) < value)
    nearest = std::nextafter(nearest, infinity);
  return {nearest, std::nextafter(nearest, infinity)};
}

Real log_factorial(std::uint64_t n) { return boost::math::lgamma(Real(n) + 1); }

// ln P(X = k) plus the logarithm of 1 + the ratios of the terms that follow.
Real log_tail(std::uint64_t k, std::uint64_t n, const Real& p, const Real& q) {
  const Quad odds(Real(p / q));
  Quad sum = 1, term = 1;
  for (std::uint64_t j = k; j < n; ++j) {
    term *= odds * (n - j) / (j + 1);
    sum += term;
    if (term < sum * 1e-26) break;
  }
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k) + k * log(p) +
         (n - k) * log(q) + log(Real(sum));
}

Real normal_cdf(const Real& z) { return boost::math::erfc(Real(-z / sqrt(Real(2)))) / 2; }

// Newton's method on ln Phi, for p <= 1/2.
Real lower_quantile(const Real& p) {
  Real z = -boost::math::constants::root_two<double>() *
           boost::math::erfc_inv(2 * p.convert_to<double>());
  for (int i = 0; i < 10; ++i) {
    const Real cdf = normal_cdf(z);
    const Real density = exp(-z * z / 2) / sqrt(boost::math::constants::two_pi<Real>());
    const Real step = cdf * log(cdf / p) / density;
    z -= step;
    if (abs(step) < Real("1e-24")) return z;  // the next step is below 1e-45
  }
  throw std::logic_error("no quantile");
}

Real quantile(const Real& p) { return 2 * p <= 1 ? lower_quantile(p) : -lower_quantile(1 - p); }

Real delta_at(const Real& epsilon, const Real& lower, const Real& upper) {
  const Real e = exp(epsilon);
  return (lower - e * e * upper) / (1 + e);
}

Real size_at(const Real& epsilon, const Real& delta) {
  return delta > 0 ? Real(epsilon / sqrt(2 * log(Real(5) / 4 / delta))) : Real(0);
}

// The best epsilon of (0, 1], by sections of an interval around the best of 64 points, which
// doubles find.
Real gaussian(const Real& lower, const Real& upper) {
  Real high = log(lower / upper) / 2;
  if (high > 1) high = 1;
  const auto size = [&](const Real& epsilon) {
    return size_at(epsilon, delta_at(epsilon, lower, upper));
  };
  constexpr int points = 64;
  int best = 1;
  double largest = 0.0;
  for (int i = 1; i <= points; ++i) {
    const double epsilon = high.convert_to<double>() * i / points, e = std::exp(epsilon);
    const double delta =
        (lower.convert_to<double>() - e * e * upper.convert_to<double>()) / (1 + e);
    const double here = delta > 0 ? epsilon / std::sqrt(2 * std::log(1.25 / delta)) : 0.0;
    if (here > largest) best = i, largest = here;
  }
  Real left = high * (best - 1) / points, right = high * std::min(best + 1, points) / points;
  const Real section = (sqrt(Real(5)) - 1) / 2;
  Real a = right - section * (right - left), b = left + section * (right - left);
  Real at_a = size(a), at_b = size(b);
  for (int i = 0; i < 50; ++i) {  // to 1e-12 of epsilon, 1e-24 of the size
    if (at_a > at_b) {
      right = b, b = a, at_b = at_a;
      a = right - section * (right - left), at_a = size(a);
    } else {
      left = a, a = b, at_a = at_b;
      b = left + section * (right - left), at_b = size(b);
    }
  }
  return std::max({at_a, at_b, size(high)});
}

// Of the deltas 0.001, 0.002 ... 0.299, each with the epsilon that ten halvings of [0, 1] leave.
Real gaussian_grid(const Real& lower, const Real& upper) {
  constexpr int points = 1024;
  static std::vector<Real> powers, slopes;
  for (int j = static_cast<int>(powers.size()); j <= points; ++j)
    powers.push_back(exp(Real(j) / points));
  for (int i = static_cast<int>(slopes.size()); i < 300; ++i)
    slopes.push_back(i == 0 ? Real(0) : size_at(Real(1) / points, Real(i) / 1000));
  Real best = 0;
  for (int i = 1; i < 300; ++i) {
    const Real delta = Real(i) / 1000;
    int low = 0, high = points;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      const Real& e = powers[middle];
      (lower >= e * e * upper + (1 + e) * delta ? low : high) = middle;
    }
    best = std::max(best, low * slopes[i]);
  }
  return best;
}

// The least probability, under a shift of s, of an event of probability p under Laplace noise.
Real after_laplace_shift(const Real& p, const Real& s) {
  const Real half = Real(1) / 2;
  if (p <= half) return exp(-s) * p;
  const Real near = 1 - exp(s) * (1 - p);
  return near > half ? near : Real(exp(-s) / (4 * (1 - p)));
}

// The largest: 1 less the least one of the event's complement.
Real raised_by_laplace_shift(const Real& p, const Real& s) {
  const Real half = Real(1) / 2;
  if (p >= half) return 1 - exp(-s) * (1 - p);
  const Real near = exp(s) * p;
  return near < half ? near : Real(1 - exp(-s) / (4 * p));
}

// Where the least probability of the one meets the largest of the other.
Real laplace_exact(const Real& lower, const Real& upper) {
  Real left = 0, right = 1000;
  for (int i = 0; i < 110; ++i) {
    const Real s = (left + right) / 2;
    (after_laplace_shift(lower, s) > raised_by_laplace_shift(upper, s) ? left : right) = s;
  }
  return left;
}

Real size_of(RadiusRule rule, const Real& lower, const Real& upper) {
  switch (rule) {
    case RadiusRule::gaussian:
      return gaussian(lower, upper);
    case RadiusRule::gaussian_grid:
      return gaussian_grid(lower, upper);
    case RadiusRule::gaussian_exact:
      return (quantile(lower) - quantile(upper)) / 2;
    case RadiusRule::laplace:
      return log(lower / upper) / 2;
    case RadiusRule::laplace_exact:
      return laplace_exact(lower, upper);
  }
  throw std::logic_error("no such rule");
}

const Real& unit() {
  static const Real value = ldexp(Real(1), -32);
  return value;
}

Real mean(const Scores& scores, int side) {
  const Real n = scores.draws;
  if (!scores.fixed_point) return scores.sum / n;
  return scores.sum * unit() / n + side * unit() / 2;
}

Real variance(const Scores& scores) {
  const Real n = scores.draws;
  if (!scores.fixed_point) {
    const Real m = scores.sum / n;
    return (scores.squares - n * m * m) / (n - 1);
  }
  // What single precision loses of squares that are added as 0 is nothing beside half a unit.
  const Real squares = scores.squares * unit() / (1 - ldexp(Real(1), -24)) + n * unit() / 2;
  // (mean - unit / 2)^2 >= mean^2 - mean unit
  const Real m = scores.sum * unit() / n;
  const Real result = (squares - n * (m * m - m * unit())) / (n - 1);
  return result > 0 ? result : Real(0);
}

Real hoeffding(std::uint64_t draws, double failure) {
  return sqrt(-log(Real(failure)) / (2 * Real(draws)));
}

Real bernstein(std::uint64_t draws, const Real& v, double failure) {
  const Real l = log(2 / Real(failure)), n = draws;
  return sqrt(2 * v * l / n) + 7 * l / (3 * (n - 1));
}

Real half_width(MeanBound bound, const Scores& scores, double failure) {
  switch (bound) {
    case MeanBound::hoeffding:
      return hoeffding(scores.draws, failure);
    case MeanBound::empirical_bernstein:
      return bernstein(scores.draws, variance(scores), failure);
    case MeanBound::betting:
    case MeanBound::clopper_pearson:
    case MeanBound::pairwise:
    case MeanBound::one_sided:
    case MeanBound::anytime:
      break;
  }
  throw std::logic_error("not a bound with a half-width");
}

constexpr double guesses[] = {0.06, 0.15, 0.35, 0.8};

double stake(double guess, double log_goal, double draws) {
  return std::min(0.75, std::sqrt(2.0 * log_goal / draws) / guess);
}

template <class T>
Real sum_of_squares(std::span<const T> values) {
  Real sum = 0;
  for (const T x : values) sum += Real(x) * x;
  return sum;
}

}  // namespace

Around share(double alpha, int events, int parts) { return around(Real(alpha) * parts / events); }

double clopper_pearson_excess(std::uint64_t k, std::uint64_t n, double p, double failure,
                              bool p_is_complement) {
  const Real given = p, rest = 1 - given;
  if (p == 0.0) return p_is_complement ? 1.0 : -1.0;
  if (p == 1.0) return p_is_complement ? -1.0 : 1.0;
  const Real tail = p_is_complement ? log_tail(k, n, rest, given) : log_tail(k, n, given, rest);
  return Real(tail - log(Real(failure))).convert_to<double>();
}

double anytime_excess(std::uint64_t k, std::uint64_t n, double p, double failure,
                      bool p_is_complement) {
  using boost::math::lgamma;
  const Real given = p, rest = 1 - given, half = Real(1) / 2, votes = k, others = n - k;
  if (p == 0.0) return p_is_complement ? 1.0 : -1.0;
  if (p == 1.0) return p_is_complement ? -1.0 : 1.0;
  const Real likelihood =
      votes * log(p_is_complement ? rest : given) + others * log(p_is_complement ? given : rest);
  const Real mixture = lgamma(Real(votes + half)) + lgamma(Real(others + half)) -
                       lgamma(Real(votes + others + 1)) - 2 * lgamma(half);
  return Real(likelihood - mixture - log(Real(failure))).convert_to<double>();
}

Around log_binomial_tail(std::uint64_t k, std::uint64_t n, double odds) {
  return around(log_tail(k, n, Real(odds) / (1 + Real(odds)), 1 / (1 + Real(odds))));
}

Around probability_of(double odds) { return around(Real(odds) / (1 + Real(odds))); }

Around all_agree(std::uint64_t n, double failure) { return around(exp(log(Real(failure)) / n)); }

Around none_agree(std::uint64_t n, double failure) {
  return around(1 - exp(log(Real(failure)) / n));
}

Around hoeffding_half_width(std::uint64_t draws, double failure) {
  return around(hoeffding(draws, failure));
}

Around empirical_bernstein_half_width(std::uint64_t draws, double v, double failure) {
  return around(bernstein(draws, Real(v), failure));
}

double betting_excess(std::span<const double> scores, double m, double failure) {
  const auto n = static_cast<double>(scores.size());
  Real sum = 0;
  for (const double guess : guesses) {
    const Real l = stake(guess, -std::log(failure), n);
    Real fortune = 1;
    for (const double x : scores) fortune *= 1 + l * (x / Real(m) - 1);
    sum += fortune / 4;
  }
  return Real(log(sum * failure)).convert_to<double>();
}

Around log_fortune(double rise, double spread, std::uint64_t draws, double log_goal) {
  Real sum = 0;
  for (const double guess : guesses) {
    const Real l = stake(guess, log_goal, static_cast<double>(draws)), r = rise;
    // The quadratic function of x / c through 0 and 1, where it has this slope.
    const Real at_zero = log(1 - l), at_one = log(1 + l * r), slope = l * (1 + r) / (1 + l * r);
    sum += exp((at_one + (at_zero - at_one + slope) * spread) * draws) / 4;
  }
  return around(log(sum));
}

Scores votes(std::uint64_t draws, std::uint64_t count) { return {draws, count, count, false}; }

Scores sums(std::uint64_t draws, std::uint64_t sum, std::uint64_t squares) {
  return {draws, sum, squares, true};
}

Around least_mean(const Scores& scores) { return around(mean(scores, -1)); }
Around largest_mean(const Scores& scores) { return around(mean(scores, 1)); }
Around largest_variance(const Scores& scores) { return around(variance(scores)); }

Around mean_of(std::span<const double> scores) {
  Real sum = 0;
  for (const double s : scores) sum += s;
  return around(sum / scores.size());
}

Around variance_of(std::span<const double> scores) {
  Real sum = 0;
  for (const double s : scores) sum += s;
  return around((sum_of_squares(scores) - sum * sum / scores.size()) / (scores.size() - 1));
}

Around lower_bound(MeanBound bound, const Scores& scores, double failure) {
  return around(mean(scores, -1) - half_width(bound, scores, failure));
}

Around upper_bound(MeanBound bound, const Scores& scores, double failure) {
  return around(mean(scores, 1) + half_width(bound, scores, failure));
}

Around complement(double lower) { return around(1 - Real(lower)); }

Around normal_quantile(double p) { return around(quantile(Real(p))); }

Around largest_delta(double epsilon, double lower, double upper) {
  return around(delta_at(Real(epsilon), Real(lower), Real(upper)));
}

Around gaussian_size(double epsilon, double delta) {
  return around(size_at(Real(epsilon), Real(delta)));
}

Around attack_size(RadiusRule rule, double lower, double upper) {
  return around(size_of(rule, Real(lower), Real(upper)));
}

Around radius(RadiusRule rule, double lower, double upper, double scale, double sensitivity) {
  return around(size_of(rule, Real(lower), Real(upper)) * scale / sensitivity);
}

Around product(double size, double scale) { return around(Real(size) * scale); }
Around quotient(double scale, double sensitivity) { return around(Real(scale) / sensitivity); }

Around noise_scale(Mechanism mechanism, double construction_bound, double epsilon, double delta,
                   double sensitivity) {
  const Real laplace = Real(sensitivity) * construction_bound / epsilon;
  switch (mechanism) {
    case Mechanism::none:
      break;
    case Mechanism::laplace:
      return around(laplace);
    case Mechanism::gaussian:
      return around(sqrt(2 * log(Real(5) / 4 / delta)) * laplace);
  }
  throw std::logic_error("no noise");
}

Around one_norm(std::span<const float> values) {
  Real sum = 0;
  for (const float x : values) sum += std::abs(x);
  return around(sum);
}

Around two_norm(std::span<const float> values) { return around(sqrt(sum_of_squares(values))); }

Around product_of_two_norms(std::span<const float> a, std::span<const float> b) {
  return around(sqrt(sum_of_squares(a) * sum_of_squares(b)));
}

Around root(std::int64_t n) { return around(sqrt(Real(n))); }

int compare(const std::string& decimal, double value) {
  const std::size_t e = decimal.find('e');
  std::string digits = decimal.substr(0, e);
  int tens = e == std::string::npos ? 0 : std::stoi(decimal.substr(e + 1));
  if (const std::size_t point = digits.find('.'); point != std::string::npos) {
    tens -= static_cast<int>(digits.size() - point - 1);
    digits.erase(point, 1);
  }
  // A leading zero would make it octal.
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  int twos = 0;
  Integer printed(digits),
      given(static_cast<std::int64_t>(std::ldexp(std::frexp(value, &twos), 53)));
  twos -= 53;
  (tens < 0 ? given : printed) *= pow(Integer(10), static_cast<unsigned>(std::abs(tens)));
  (twos < 0 ? printed : given) <<= static_cast<unsigned>(std::abs(twos));
  return printed.compare(given) < 0 ? -1 : printed == given ? 0 : 1;
}

}  // namespace pixeldp::exact
