#include "pixeldp/regression/reaches.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.hpp"
#include "kernels/formulas/bounds.hpp"
#include "pixeldp/cdf_certificate.hpp"

namespace pixeldp {
namespace {

using kernels::output_steps;

constexpr double step_width = 1.0 / output_steps;

/// The largest values of A+ and A-.
double most_positive(const kernels::RealOutput& output) { return std::max(output.high, 0.0); }
double most_negative(const kernels::RealOutput& output) { return std::max(-output.low, 0.0); }

/// The bound of the mean of a score in [0, 1] whose largest value stands for `most`.
OutputInterval bounds_of_part(std::uint64_t sum, std::uint64_t squares, std::uint64_t draws,
                              double most, Bound bound, double failure) {
  if (most == 0.0) return {};
  const auto mean = kernels::mean_of_sums(sum, squares, draws);
  const auto [low, high] = kernels::mean_bounds(bound, mean, draws, failure);
  return {low * most * kernels::bound_down, high * most * kernels::bound_up};
}

/// Of the places u, whose mean and squares the two parts determine.
kernels::MeanAndVariance mean_of_places(const OutputStatistics& statistics,
                                        const kernels::RealOutput& output) {
  const double n = static_cast<double>(statistics.draws), unit = kernels::score_unit / n;
  const double most = most_positive(output), least = most_negative(output);
  const double mean = statistics.mean(output);
  const double square =
      static_cast<double>(statistics.totals.positive_squares) * unit * most * most +
      static_cast<double>(statistics.totals.negative_squares) * unit * least * least;
  // Each score and each square was rounded to the unit; cancellation leaves what it leaves.
  const double reach = most + least, error = kernels::fixed_point_error * reach + 0x1p-48 * reach;
  const double slack = 4.0 * reach * error;
  const double place = (mean - output.low) / output.width(), off = error / output.width();
  if (statistics.draws < 2)
    return {place - off, place + off, std::numeric_limits<double>::infinity()};
  const double variance = (std::max(0.0, square - mean * mean) + slack) * n / (n - 1.0);
  return {std::max(0.0, place - off), std::min(1.0, place + off),
          variance / (output.width() * output.width()) * kernels::bound_up};
}

/// Of whole steps, `at_least` at the end of each.
ScoreHistogram histogram_of(const OutputStatistics& statistics) {
  ScoreHistogram histogram{.thresholds = {}, .at_least = {}, .draws = statistics.draws};
  std::uint64_t left = statistics.draws;
  for (int step = 0; step < output_steps; ++step) {
    left -= statistics.totals.counts[static_cast<std::size_t>(step)];
    histogram.thresholds.push_back((step + 1) * step_width);
    histogram.at_least.push_back(left);
  }
  return histogram;
}

double complement_after(Mechanism noise, double p, double size) {
  return 1.0 - probability_after(noise, 1.0 - p, size);
}

}  // namespace

OutputInterval stable_interval(const OutputInterval& positive, const OutputInterval& negative,
                               const OutputInterval& range, double epsilon, double delta) {
  const double up = std::exp(epsilon), down = std::exp(-epsilon);
  const double above = delta > 0.0 ? delta * (range.high - down * range.low) : 0.0;
  const double below = delta > 0.0 ? delta * (down * range.high - range.low) : 0.0;
  return {down * positive.low - up * negative.high - below,
          up * positive.high - down * negative.low + above};
}

double stable_move(double positive, double negative, const OutputInterval& range, double epsilon,
                   double delta) {
  const double up = std::expm1(epsilon), down = -std::expm1(-epsilon);
  const auto towards = [&](double grows, double shrinks, double end, double other_end) {
    const double slack = delta > 0.0 ? delta * (end + (1.0 - down) * other_end) : 0.0;
    return up * grows + down * shrinks + slack;
  };
  return std::max(towards(positive, negative, range.high, -range.low),
                  towards(negative, positive, -range.low, range.high));
}

double probability_after(Mechanism mechanism, double p, double size) {
  if (p <= 0.0 || p >= 1.0) return std::clamp(p, 0.0, 1.0);
  switch (mechanism) {
    case Mechanism::gaussian:
      return kernels::normal_cdf(kernels::normal_quantile(p) + size);
    case Mechanism::laplace:
      return kernels::laplace_most(size, p);
    case Mechanism::none:
      break;
  }
  fail("no noise limits what an attack can do");
}

// ---- The lemma

LemmaReach::LemmaReach(const OutputStatistics& statistics, const kernels::RealOutput& output,
                       const OutputNoise& noise, const OutputOptions& options)
    : range_{output.low, output.high}, noise_(noise) {
  const double most = most_positive(output), least = most_negative(output);
  const double bounds = most > 0.0 && least > 0.0 ? 4.0 : 2.0;
  const double failure = kernels::less_denormal(options.alpha / bounds * kernels::bound_down);
  const kernels::OutputTotals& totals = statistics.totals;
  positive_ = bounds_of_part(totals.positive, totals.positive_squares, statistics.draws, most,
                             options.bound, failure);
  negative_ = bounds_of_part(totals.negative, totals.negative_squares, statistics.draws, least,
                             options.bound, failure);
  const double v = noise.variation;
  positive_ = {std::max(0.0, positive_.low - v * most), positive_.high + v * most};
  negative_ = {std::max(0.0, negative_.low - v * least), negative_.high + v * least};
}

template <class Value>
double LemmaReach::best(double size, Value value) const {
  if (size == 0.0) return value(0.0, 0.0);
  if (noise_.mechanism == Mechanism::laplace) return value(size, 0.0);
  if (noise_.mechanism != Mechanism::gaussian) fail("the lemma is of Laplace and Gaussian noise");
  // Any epsilon up to 1 with the delta that the scale of the noise then has is true: the search
  // need not find the very best one. Below the first, delta is above 1.
  const auto at = [&](double log_epsilon) {
    const double epsilon = std::exp(log_epsilon), ratio = epsilon / size;
    return value(epsilon, std::min(1.0, 1.25 * std::exp(-0.5 * ratio * ratio) * (1.0 + 0x1p-40)));
  };
  const double least = std::log(size) + 0.5 * std::log(2.0 * std::log(1.25));
  if (least >= 0.0) return at(0.0);
  constexpr int points = 32;
  const double apart = -least / points;
  double chosen = 0.0, lowest = at(0.0);
  for (int i = 0; i < points; ++i)
    if (const double here = at(least + i * apart); here < lowest)
      lowest = here, chosen = least + i * apart;
  double low = chosen - apart, high = std::min(0.0, chosen + apart);
  for (int halving = 0; halving < 24; ++halving) {
    const double third = (high - low) / 3.0;
    const double left = at(low + third), right = at(high - third);
    lowest = std::min({lowest, left, right});
    left < right ? high -= third : low += third;
  }
  return lowest;
}

OutputInterval LemmaReach::interval(double size) const {
  const auto at = [&](double epsilon, double delta) {
    return stable_interval(positive_, negative_, range_, epsilon, delta);
  };
  const double v = noise_.variation * range_.width();
  return {-best(size, [&](double e, double d) { return -at(e, d).low; }) - v,
          best(size, [&](double e, double d) { return at(e, d).high; }) + v};
}

double LemmaReach::move(double size) const {
  const double least = best(size, [&](double epsilon, double delta) {
    return stable_move(positive_.high, negative_.high, range_, epsilon, delta);
  });
  return least + 2.0 * noise_.variation * range_.width();
}

// ---- Probabilities of the steps

Tails::Tails(const OutputStatistics& statistics, const OutputNoise& noise, double failure)
    : noise_(noise.mechanism) {
  const TailBounds bounds = tail_bounds(histogram_of(statistics), failure / 2.0);
  for (double p : bounds.lower) {
    p = std::max(0.0, p - noise.variation);
    lower_.push_back({p, kernels::normal_quantile_lower(p)});
  }
  for (double p : bounds.upper) {
    p = std::min(1.0, p + noise.variation);
    upper_.push_back({p, kernels::normal_quantile_upper(p)});
  }
}

double Tails::after(const TailLevel& level, double size, bool up) const {
  if (noise_ == Mechanism::gaussian && level.p > 0.0 && level.p < 1.0)
    return kernels::normal_cdf(level.z + (up ? size : -size));
  return up ? probability_after(noise_, level.p, size) : complement_after(noise_, level.p, size);
}

double Tails::lower_after(int step, double size) const {
  return after(lower_[static_cast<std::size_t>(step)], size, false);
}

double Tails::upper_after(int step, double size) const {
  return after(upper_[static_cast<std::size_t>(step)], size, true);
}

/// Where probability_after(p) - p, which is concave, is largest.
double Tails::peak(double size) const {
  switch (noise_) {
    case Mechanism::gaussian:
      return kernels::normal_cdf(-0.5 * size);
    case Mechanism::laplace:
      return 0.5 * std::exp(-0.5 * size);
    case Mechanism::none:
      break;
  }
  fail("no noise limits what an attack can do");
}

double Tails::rise_between(const TailLevel& low, const TailLevel& high, double size) const {
  const double best = peak(size);
  if (low.p <= best && best <= high.p) return probability_after(noise_, best, size) - best;
  const TailLevel& nearest = high.p < best ? high : low;
  return after(nearest, size, true) - nearest.p;
}

double Tails::most_rise(int step, double size) const {
  const auto i = static_cast<std::size_t>(step);
  return rise_between(lower_[i], step == 0 ? TailLevel{1.0, 0.0} : upper_[i - 1], size);
}

double Tails::most_fall(int step, double size) const {
  const auto i = static_cast<std::size_t>(step);
  const auto complement = [](const TailLevel& level) { return TailLevel{1.0 - level.p, -level.z}; };
  return rise_between(step == 0 ? TailLevel{0.0, 0.0} : complement(upper_[i - 1]),
                      complement(lower_[i]), size);
}

// ---- The mean

MeanReach::MeanReach(const OutputStatistics& statistics, const kernels::RealOutput& output,
                     const OutputNoise& noise, const OutputOptions& options)
    : output_(output),
      variation_(noise.variation),
      tails_(statistics, noise, 0.75 * options.alpha) {
  const auto [low, high] =
      kernels::mean_bounds(options.bound, mean_of_places(statistics, output), statistics.draws,
                           kernels::less_denormal(options.alpha / 8.0 * kernels::bound_down));
  mean_ = {low, high};
}

OutputInterval MeanReach::interval(double size) const {
  double low = 0.0, high = step_width, rise = 0.0, fall = 0.0;
  for (int step = 0; step < output_steps; ++step) {
    low += step_width * tails_.lower_after(step, size);
    if (step + 1 < output_steps) high += step_width * tails_.upper_after(step, size);
    rise += step_width * tails_.most_rise(step, size);
    fall += step_width * tails_.most_fall(step, size);
  }
  const double v = variation_;
  return {output_.at(std::max(low - v, mean_.low - fall - 2.0 * v)),
          output_.at(std::min(high + v, mean_.high + rise + 2.0 * v))};
}

double MeanReach::move(double size) const {
  double rise = 0.0, fall = 0.0;
  for (int step = 0; step < output_steps; ++step) {
    rise += step_width * tails_.most_rise(step, size);
    fall += step_width * tails_.most_fall(step, size);
  }
  return output_.width() * (std::max(rise, fall) + 2.0 * variation_);
}

// ---- The median

MedianReach::MedianReach(const OutputStatistics& statistics, const kernels::RealOutput& output,
                         const OutputNoise& noise, double alpha)
    : output_(output), variation_(noise.variation), tails_(statistics, noise, alpha) {}

OutputInterval MedianReach::interval(double size) const {
  constexpr double none = std::numeric_limits<double>::infinity();
  const double margin = 0x1p-46 + variation_;
  OutputInterval interval{output_.bounded() ? output_.low : -none,
                          output_.bounded() ? output_.high : none};
  for (int step = 0; step < output_steps; ++step)
    if (tails_.lower_after(step, size) > 0.5 + margin)
      interval.low = output_.at((step + 1) * step_width);
  for (int step = output_steps - 1; step >= 0; --step)
    if (tails_.upper_after(step, size) < 0.5 - margin)
      interval.high = output_.at((step + 1) * step_width);
  return interval;
}

double MedianReach::move(double size) const {
  const OutputInterval now = interval(0.0), then = interval(size);
  if (!(std::isfinite(then.low) && std::isfinite(then.high)))
    return std::numeric_limits<double>::infinity();
  return std::max(then.high - now.low, now.high - then.low);
}

}  // namespace pixeldp
