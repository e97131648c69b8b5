#include "pixeldp/alpha_ledger.hpp"

#include <doctest/doctest.h>

#include "pixeldp/conditions.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

constexpr Look first{.draws = 300};

TEST_CASE("looks are read from a line, and share alpha so that it is not exceeded") {
  const std::vector<Look> looks = parse_looks("1000,softmax,2000:hoeffding:softmax", first);
  REQUIRE(looks.size() == 3);
  CHECK(looks[0] == Look{.draws = 1000});
  CHECK(looks[1] ==
        Look{.draws = 300, .scores = ScoreType::softmax, .bound = Bound::empirical_bernstein});
  CHECK(looks[2] == Look{.draws = 2000, .scores = ScoreType::softmax, .bound = Bound::hoeffding});
  CHECK(parse_looks("", first).empty());
  for (const char* text : {",", "x", "0", "-1", "1e3", "300:", "softmax:beta", "4294967296"})
    CHECK_FAILS(parse_looks(text, first), "no part of a look");

  std::vector<Look> all = looks;
  all.push_back(first);
  for (const double alpha : {0.05, 0.001, 0.3}) {
    const AlphaLedger ledger = reserve_alpha(all, alpha);
    double total = 0.0;
    for (const Look& look : ledger) total += look.alpha;
    CHECK(total <= alpha);
    CHECK(total > alpha * (1 - 1e-15));
    CHECK(ledger.front().scores == ScoreType::argmax);  // by draws, then by name
    CHECK(ledger.back().draws == 2000);
  }
  CHECK(reserve_alpha({first}, 0.05).front().alpha == 0.05);
  all.push_back(first);
  CHECK_FAILS(reserve_alpha(all, 0.05), "the look at 300 draws, clopper-pearson bounds of argmax");
  CHECK_FAILS(
      reserve_alpha({{.draws = 3, .scores = ScoreType::softmax, .bound = Bound::pairwise}}, 0.05),
      "there are none");
}

TEST_CASE("a rule stands as it was reserved, and any other is an exploration") {
  const AlphaLedger ledger = reserve_alpha({first, {.draws = 1000}}, 0.05);
  CertificateOptions options{.alpha = ledger[0].alpha};
  CHECK(standing(ledger, options, 300) == Standing::reserved);
  CHECK(standing(ledger, options, 1000) == Standing::reserved);
  CHECK(standing(ledger, options, 301) == Standing::exploration);
  CHECK(standing({}, options, 300) == Standing::unrecorded);
  options.kind = CertificateKind::pixeldp;  // of the same bounds
  CHECK(standing(ledger, options, 300) == Standing::reserved);
  options.alpha = 0.05;
  CHECK(standing(ledger, options, 300) == Standing::exploration);
  options = {.bound = Bound::hoeffding, .alpha = ledger[0].alpha};
  CHECK(standing(ledger, options, 300) == Standing::exploration);

  // A look of anytime bounds is one at every number of draws.
  const AlphaLedger anytime = reserve_alpha({{.draws = 300, .bound = Bound::anytime}}, 0.05);
  options = {.bound = Bound::anytime, .alpha = 0.05};
  CHECK(standing(anytime, options, 300) == Standing::reserved);
  CHECK(standing(anytime, options, 1234) == Standing::reserved);
  options.alpha = 0.01;
  CHECK(standing(anytime, options, 300) == Standing::exploration);

  CertificateLogHeader header = tests::made_header({});
  header.ledger = ledger;
  CHECK(conditions_text(header).find("alpha 0.05 per prediction (an exploration: chosen when") !=
        std::string::npos);
  header.options.alpha = ledger[0].alpha;
  CHECK(conditions_text(header).find(" in one of 2 looks, 300 draws") != std::string::npos);
}

}  // namespace
}  // namespace pixeldp
