#include "pixeldp/planning.hpp"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/error.hpp"
#include "tests/layers/made_network.hpp"

namespace pixeldp {
namespace {

const Calibration unit_noise = {
    .mechanism = Mechanism::gaussian, .noise_scale = 1.0, .sensitivity = 1.0};

double radius(const std::vector<std::uint64_t>& votes, const CertificateOptions& options) {
  ScoreStatistics s{.draws = 0, .votes = votes, .sums = {}, .squares = {}};
  for (const std::uint64_t v : votes) s.draws += v;
  return certify(s, unit_noise, options).radius;
}

TEST_CASE("draws for a radius are as few as will do, and none where no number does") {
  for (const Bound bound : {Bound::clopper_pearson, Bound::pairwise, Bound::hoeffding}) {
    CertificateOptions options;
    options.bound = bound;
    CAPTURE(name(bound));
    for (const double wanted : {0.5, 1.0}) {
      // Where all agree the radius rises with the draws, so that the number is the least.
      const auto all = draws_for(std::vector<std::uint64_t>{1, 0, 0}, wanted, unit_noise, options,
                                 Selection::same_draws);
      REQUIRE(all.has_value());
      CHECK(radius({*all, 0, 0}, options) >= wanted);
      CHECK(radius({*all - 1, 0, 0}, options) < wanted);
      const auto most = draws_for(std::vector<std::uint64_t>{19, 1, 0}, wanted, unit_noise, options,
                                  Selection::same_draws);
      REQUIRE(most.has_value());
      CHECK(*most > *all);
      const std::uint64_t top = *most * 19 / 20;
      CHECK(radius({top, *most - top, 0}, options) >= wanted);
    }
    // Phi^-1(0.8) = 0.84: infinitely many draws prove no more.
    CHECK_FALSE(draws_for(std::vector<std::uint64_t>{8, 2}, 0.9, unit_noise, options,
                          Selection::same_draws));
    CHECK_FALSE(draws_for(std::vector<std::uint64_t>{5, 5}, 0.0, unit_noise, options,
                          Selection::same_draws));
    CHECK_FALSE(draws_for(std::vector<std::uint64_t>{4, 6}, 0.0, unit_noise, options,
                          Selection::same_draws));
  }
  CHECK_THROWS_AS(
      draws_for(std::vector<std::uint64_t>{1}, 0.1, unit_noise, {}, Selection::same_draws), Error);
  CHECK_THROWS_AS(
      draws_for(std::vector<std::uint64_t>{0, 0}, 0.1, unit_noise, {}, Selection::same_draws),
      Error);
}

TEST_CASE("a reason for each way in which votes certify nothing") {
  const auto reason = [](const std::vector<std::uint64_t>& votes, Bound bound,
                         std::optional<int> selected = std::nullopt) {
    ScoreStatistics s{.draws = 0, .votes = votes, .sums = {}, .squares = {}};
    for (const std::uint64_t v : votes) s.draws += v;
    return why_not_certified(s, unit_noise, {.bound = bound}, selected);
  };
  const auto says = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  CHECK(reason({280, 20, 0}, Bound::clopper_pearson).empty());
  says(reason({5, 0, 0}, Bound::clopper_pearson), "5 draws can never certify");
  says(reason({100, 100, 0}, Bound::clopper_pearson), "the same number of votes, 100");
  says(reason({100, 180, 20}, Bound::clopper_pearson, 0), "label 0 was selected, but another one");
  says(reason({110, 100, 0}, Bound::pairwise), "110 votes against 100 could be chance");
  const std::string overlap = reason({90, 110, 100}, Bound::clopper_pearson);
  says(overlap, "the 110 votes of label 1 prove no more than");
  says(overlap, "if the shares stay as they are, about ");
  const auto draws =
      static_cast<std::uint64_t>(std::stoull(overlap.substr(overlap.find("about ") + 6)));
  CHECK(radius({draws * 90 / 300, draws * 110 / 300, draws - draws * 90 / 300 - draws * 110 / 300},
               {}) > 0.0);
}

TEST_CASE("noise at every place of a network: its sensitivity, and what certifies the radius") {
  const layers::Network network = layers::make_network({.height = 8, .width = 8}, 5);
  const std::vector<NoisePlace> places = noise_places(network, SensitivityForm::tight);
  REQUIRE(places.size() == 3);
  CHECK(places[0].after == "the image");
  CHECK(places[1].after == "conv1");
  CHECK(places[2].after == "conv2");
  // The network's own noise is after the first layer.
  CHECK(places[1].norms == network_norms(network, SensitivityForm::tight));
  // No change of an image grows by more than the norm, and the mean square one by no more.
  for (const NoisePlace& place : places)
    CHECK(place.gain <= largest_change(place.norms, AttackNorm::l2, Mechanism::gaussian));
  const double lower = 0.9, upper = 0.1, wanted = 0.3;
  const auto plans = plan_noise(places, wanted, CertificateKind::exact, lower, upper);
  CHECK(plans.size() == 3 * 2 * 3);
  for (const NoisePlan& plan : plans) {
    const Calibration c = {.mechanism = plan.mechanism,
                           .attack_norm = plan.attack_norm,
                           .noise_scale = plan.scale,
                           .sensitivity = plan.sensitivity};
    CHECK(certified_radius(CertificateKind::exact, c, lower, upper) == doctest::Approx(wanted));
  }
  for (const AttackNorm norm : attack_norms) {
    const NoisePlan* least = least_noise(plans, norm);
    REQUIRE(least != nullptr);
    for (const NoisePlan& plan : plans)
      if (plan.attack_norm == norm) CHECK(least->in_pixels <= plan.in_pixels);
  }
  // In the image a Gaussian of deviation sigma certifies sigma Phi^-1(0.9) in the 2-norm.
  CHECK(plans[1].place == "the image");
  CHECK(plans[1].in_pixels == doctest::Approx(wanted / 1.2815516));
}

}  // namespace
}  // namespace pixeldp
