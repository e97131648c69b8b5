#include "pixeldp/report/comparison.hpp"

#include <doctest/doctest.h>

#include "pixeldp/report/report.hpp"
#include "tests/pixeldp/made_page.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp::report {
namespace {

AttackLogContents attacked(std::optional<double> size, std::optional<double> certified,
                           const std::vector<std::optional<double>>& distances) {
  AttackLogContents log;
  log.options.kind = size ? AttackKind::pgd : AttackKind::cw;
  log.options.size = size;
  log.options.certified = certified;
  for (const auto& distance : distances) {
    AttackRecord record{.image = std::ssize(log.lines), .label = 1, .clean_votes = {0, 9}};
    record.distance = distance;
    record.nearest[static_cast<std::size_t>(Outcome::right_certified)] = 0.0;
    log.lines.push_back({"", 0, record});
  }
  return log;
}

}  // namespace

TEST_CASE("curves of attacks: of the nearest successes at every size, of others at their sizes") {
  const AttackLogContents nearest = attacked({}, {}, {0.5, std::nullopt, 1.5, 0.0});
  const Curve all = attack_curve("a", "a", {&nearest, 1});
  CHECK(all.images == 4);
  CHECK(all.steps);
  CHECK(all.at(0.0) == 0.75);
  CHECK(all.at(0.49) == 0.75);
  CHECK(all.at(0.5) == 0.5);
  CHECK(all.at(1.5) == 0.25);
  CHECK(all.at(9.0) == 0.25);

  const std::vector<AttackLogContents> some = {attacked(0.2, {}, {0.2, 0.1}),
                                               attacked(0.1, {}, {std::nullopt, 0.1})};
  const Curve sizes = attack_curve("b", "b", some);
  CHECK(sizes.at(0.0) == 1.0);
  CHECK(sizes.at(0.1) == 0.5);
  CHECK(sizes.at(0.2) == 0.0);
  CHECK(!sizes.at(0.15));
  CHECK(!sizes.at(0.3));

  const AttackLogContents certified = attacked({}, 0.1, {0.5, std::nullopt, std::nullopt});
  const Curve precision = attack_curve("c", "c", {&certified, 1});
  CHECK(precision.measure == Measure::robust_precision);
  CHECK(precision.at(0.4) == 1.0);
  CHECK(precision.at(0.5).value() == doctest::Approx(2.0 / 3));
  const AttackLogContents none = attacked({}, {}, {});
  CHECK_FAILS(attack_curve("d", "d", {&none, 1}), "holds no image yet");
}

TEST_CASE("what `bound` writes is a curve, and anything else is refused by name") {
  const TemporaryFolder folder;
  const auto wrote = [&](const std::string& text) {
    write_file_atomically(folder / "bound.json", text);
    return std::vector<std::filesystem::path>{folder / "bound.json"};
  };
  const Curve curve =
      bound_curve("a", "a", wrote(R"({"images": 50, "attack_norm": "inf", "accuracy": 0.98,
                "certified_accuracy": [{"size": 0.1, "share": 0.9}]})"));
  CHECK(curve.norm == AttackNorm::linf);
  CHECK(curve.images == 50);
  CHECK(curve.at(0.0) == 0.98);
  CHECK(curve.at(0.1) == 0.9);
  CHECK_FAILS(bound_curve("a", "a", wrote("{}")), "not what 'pixeldp bound --output' writes");
}

TEST_CASE("published values stand beside the network that they are of, and others below") {
  Comparison comparison{.title = "A & B",
                        .runs = {made("noisy", {.images = 20, .draws = 50})},
                        .curves = {},
                        .published = {}};
  const AttackLogContents log = attacked({}, {}, {0.5, 0.7});
  comparison.curves.push_back(attack_curve("noisy/attack", "noisy", {&log, 1}));
  comparison.published = {{.network = "theirs", .of = {"noisy"}, .at = 0.05, .value = 0.625},
                          {.network = "another", .of = {}, .at = 0.05, .value = 0.375},
                          {.network = "theirs",
                           .of = {"noisy"},
                           .measure = Measure::accuracy_under_attack,
                           .at = 0.6,
                           .value = 0.875}};
  const std::string html = comparison_section(comparison);
  CHECK(markup_fault(html) == "");
  CHECK(contains(html, "A &amp; B"));
  const std::size_t ours = html.find("noisy, pixeldp <small>"), theirs = html.find(": theirs<"),
                    another = html.find(": another<");
  CHECK(ours < theirs);
  CHECK(theirs < another);
  for (const char* value : {"62.5%", "37.5%", "87.5%"}) CHECK(contains(html, value));

  const std::string csv = comparison_csv({&comparison, 1});
  CHECK(contains(csv, "A & B,accuracy-under-attack,2,noisy/attack,0.6,2,0.5\n"));
  CHECK(contains(csv, "A & B,certified-accuracy,2,published: another,0.05,,0.375\n"));
  CHECK(markup_fault(comparison_page(html)) == "");
  CHECK(contains(report_page(comparison.runs, {}, "", html), html));
}

}  // namespace pixeldp::report
