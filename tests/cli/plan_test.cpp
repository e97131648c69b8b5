#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "pixeldp/planning.hpp"
#include "tests/cli/made_workplace.hpp"

namespace pixeldp {
namespace {

tests::Outcome run_plan(const std::string& arguments) {
  return tests::run_program("plan " + arguments);
}

nlohmann::json report(const std::string& arguments) {
  const tests::Outcome outcome = run_plan(arguments + " --json");
  REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
  return nlohmann::json::parse(outcome.output);
}

TEST_CASE("plan: draws for a radius, and the most that a budget can prove") {
  const auto plan =
      report("--radius .5 --sigma .5 --sensitivity 2 --alpha .01 --draws 200 --classes 5");
  const Calibration calibration = {
      .mechanism = Mechanism::gaussian, .noise_scale = 0.5, .sensitivity = 2.0};
  const CertificateOptions options = {.bound = Bound::pairwise, .alpha = 0.01};
  CHECK(plan["largest_radius"].get<double>() ==
        best_certificate(200, 5, calibration, options, Selection::same_draws).radius);
  CHECK(plan["least_draws"].get<std::uint64_t>() ==
        *least_draws(5, calibration, options, Selection::same_draws));
  const auto draws = draws_for(std::vector<std::uint64_t>{99, 1, 0, 0, 0}, 0.5, calibration,
                               options, Selection::same_draws);
  for (const auto& need : plan["draws_for_radius"])
    if (need["share"] == 0.99) CHECK(need["draws"].get<std::uint64_t>() == *draws);
  CHECK(plan["draws_for_radius"].back()["share"] == 0.6);
  CHECK(plan["draws_for_radius"].back()["draws"].is_null());  // 0.25 Phi^-1(0.6) is below 0.5
  CHECK_FALSE(plan.contains("noise"));
  const std::string words = run_plan("--radius .5 --draws 3").output;
  CHECK(words.find("3 draws can never certify here") != std::string::npos);
  CHECK(report("--separate --bound one-sided")["selection"] == "separate");
}

TEST_CASE("plan explains what given votes certify, or why nothing") {
  CHECK(report("--counts 280,20")["given"]["reason"].is_null());
  CHECK(report("--counts 280,20")["given"]["radius"].get<double>() > 0.0);
  const std::string reason = report("--counts 110,100,5 --bound pairwise")["given"]["reason"];
  CHECK(reason.find("could be chance") != std::string::npos);
  CHECK(run_plan("--counts 110,100,5").output.find("if the shares stay as they are") !=
        std::string::npos);
}

TEST_CASE("plan RUN: noise elsewhere in the network") {
  tests::MadeWorkplace workplace(2);
  workplace.done("train made.yaml --output run");
  const auto plan = nlohmann::json::parse(workplace.done("plan run --json"));
  std::size_t recommended = 0;
  bool has_image = false;
  for (const auto& noise : plan["noise"]) {
    recommended += noise["recommended"].get<bool>();
    has_image = has_image || noise["after"] == "the image";
    if (noise["after"] == "conv1" && noise["mechanism"] == plan["mechanism"] &&
        noise["attack_norm"] == "2")
      CHECK(noise["sensitivity"].get<double>() ==
            doctest::Approx(plan["sensitivity"].get<double>()).epsilon(1e-9));
  }
  CHECK(recommended == 3);  // one for each norm
  CHECK(has_image);
  CHECK(plan["classes"] == 10);
  workplace.refused("plan run --mechanism laplace", "the run has noise of its own, gaussian", 2);
  CHECK(workplace.done("plan run").find("in pixels") != std::string::npos);
  // All norms at once, by the same bounds.
  const auto predicted = nlohmann::json::parse(
      workplace.done("predict run test:0 --draws 50 --json" + workplace.data()));
  const auto& prediction = predicted["predictions"][0];
  CHECK(prediction["radii"].size() == 3);
  CHECK(prediction["radii"]["2"] == prediction["radius"]);
}

TEST_CASE("plan refuses what makes no sense") {
  for (const char* arguments :
       {"--radius 0", "--radius nan", "--draws 0", "--classes 1", "--classes -3", "--sigma 0",
        "--sensitivity inf", "--counts 1", "--counts 0,0", "--selected 1",
        "--counts 3,1 --selected 2", "--bound one-sided", "--alpha 0", "--draws 99999999999",
        "--counts 3,1 --draws 7", "--counts 3,1 --classes 2"}) {
    CAPTURE(arguments);
    const tests::Outcome outcome = run_plan(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.output.empty());
  }
  CHECK(run_plan("no/such/run").status == 1);
}

}  // namespace
}  // namespace pixeldp
