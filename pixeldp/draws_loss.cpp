#include "pixeldp/draws_loss.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "engine/named.hpp"
#include "pixeldp/score_statistics.hpp"

namespace pixeldp {
namespace {

/// The softmax scores of a draw.
std::vector<double> scores_of(std::span<const float> logits) {
  const double highest = *std::ranges::max_element(logits);
  std::vector<double> scores;
  double sum = 0.0;
  for (const float z : logits) sum += scores.emplace_back(std::exp(z - highest));
  for (double& score : scores) score /= sum;
  return scores;
}

double margin(Aim aim, std::span<const float> logits) {
  const auto label = static_cast<std::size_t>(aim.label);
  const double ahead = double{logits[label]} - double{logits[largest_other(logits, label)]};
  return aim.targeted ? -ahead : ahead;
}

/// What a draw weighs in the gradient of the mean score. Scores so small that floats lose them all
/// weigh the same, so that some direction is left.
double weight(double score) { return std::max(score, 1e-30); }

}  // namespace

std::string_view name(DrawsLoss loss) {
  switch (loss) {
    case DrawsLoss::cross_entropy:
      return "cross-entropy";
    case DrawsLoss::mean_score:
      return "mean-score";
    case DrawsLoss::hinge:
      return "hinge";
    case DrawsLoss::margin:
      return "margin";
  }
  fail("not a loss of draws: {}", static_cast<int>(loss));
}

DrawsLoss parse_draws_loss(std::string_view text) {
  return value_named(text, "loss", draws_losses, name);
}

void DrawsLossSum::add(std::span<const float> logits) {
  const std::vector<double> scores = scores_of(logits);
  const double score = scores[static_cast<std::size_t>(aim_.label)];
  const double sign = aim_.targeted ? -1.0 : 1.0;
  switch (loss_) {
    case DrawsLoss::cross_entropy:
      value_.loss += sign * std::log(weight(score));
      break;
    case DrawsLoss::mean_score:
      weights_ += weight(score);
      break;
    case DrawsLoss::hinge:
      value_.loss += std::max(0.0, margin(aim_, logits));
      break;
    case DrawsLoss::margin:
      value_.loss += margin(aim_, logits);
      break;
  }
  const auto top = std::ranges::max_element(logits) - logits.begin();
  value_.reached += aim_.reached_by(static_cast<int>(top));
  value_.mean_scores.resize(scores.size());
  for (std::size_t c = 0; c < scores.size(); ++c) value_.mean_scores[c] += scores[c];
}

DrawsLossValue DrawsLossSum::value() const {
  DrawsLossValue all = value_;
  const double draws = value_.divisor;
  for (double& score : all.mean_scores) score /= draws;
  if (loss_ == DrawsLoss::mean_score) {
    all.loss = (aim_.targeted ? -1.0 : 1.0) * std::log(weights_ / draws);
    all.divisor = weights_;
  } else {
    all.loss /= draws;
    all.divisor = 1.0;
  }
  return all;
}

void draws_loss_gradient(DrawsLoss loss, Aim aim, std::uint64_t draws,
                         std::span<const float> logits, std::span<float> gradient) {
  const auto label = static_cast<std::size_t>(aim.label);
  const double sign = aim.targeted ? -1.0 : 1.0;
  const double share = sign / static_cast<double>(draws);
  std::ranges::fill(gradient, 0.0f);
  // d ln s[label] / dz[c] = (c == label) - s[c]
  const auto of_log_score = [&](double factor, const std::vector<double>& scores) {
    for (std::size_t c = 0; c < scores.size(); ++c)
      gradient[c] = static_cast<float>(factor * ((c == label ? 1.0 : 0.0) - scores[c]));
  };
  const auto of_margin = [&] {
    gradient[label] = static_cast<float>(share);
    gradient[largest_other(logits, label)] = static_cast<float>(-share);
  };
  switch (loss) {
    case DrawsLoss::cross_entropy:
      return of_log_score(share, scores_of(logits));
    case DrawsLoss::mean_score: {
      // d ln(sum of s) / dz = s / (sum of s) d ln s / dz, and the sum is known in the end only.
      const std::vector<double> scores = scores_of(logits);
      return of_log_score(sign * weight(scores[label]), scores);
    }
    case DrawsLoss::hinge:
      if (margin(aim, logits) > 0.0) of_margin();
      return;
    case DrawsLoss::margin:
      return of_margin();
  }
  fail("not a loss of draws: {}", static_cast<int>(loss));
}

}  // namespace pixeldp
