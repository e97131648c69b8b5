#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "pixeldp/certificate.hpp"
#include "tests/cli/program.hpp"

namespace pixeldp {
namespace {

tests::Outcome run_radius(const std::string& arguments) {
  return tests::run_program("radius " + arguments);
}

TEST_CASE("radius prints one JSON object that agrees with the library") {
  const tests::Outcome outcome = run_radius(
      "--counts 10,280,10 --sigma 0.5 --sensitivity 2 --alpha 0.01 --certificate exact --json");
  CHECK(outcome.status == 0);
  const auto report = nlohmann::json::parse(outcome.output);
  ScoreStatistics statistics;
  statistics.draws = 300;
  statistics.votes = {10, 280, 10};
  Calibration calibration;
  calibration.mechanism = Mechanism::gaussian;
  calibration.noise_scale = 0.5;
  calibration.sensitivity = 2.0;
  CertificateOptions options;
  options.bound = Bound::pairwise;
  options.alpha = 0.01;
  options.kind = CertificateKind::exact;
  const Certificate expected = certify(statistics, calibration, options);
  CHECK(report["prediction"] == 1);
  CHECK(report["radius"].get<double>() == expected.radius);
  CHECK(report["lower"].get<double>() == expected.lower);
  CHECK(report["upper"].get<double>() == expected.upper);
  CHECK(report["draws"] == 300);
  CHECK(report["selection"] == "same");
  CHECK(report["largest_radius"].get<double>() > expected.radius);
}

TEST_CASE("radius charges a variation and a rounding that it is told of") {
  const auto radius = [](const std::string& more) {
    const tests::Outcome outcome =
        run_radius("--counts 10,280,10 --sigma 0.5 --sensitivity 2 --json " + more);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return nlohmann::json::parse(outcome.output)["radius"].get<double>();
  };
  CHECK(radius("--prefix-error 0.01") == doctest::Approx(radius("") - 0.01).epsilon(1e-12));
  CHECK(radius("--variation 0.001") < radius("") - 0.25 * 0.001 / 0.2);
  CHECK(radius("--variation 0.001") > radius("") - 0.1);
  CHECK(radius("--prefix-error 9") == 0.0);
  CHECK(run_radius("--counts 3,1 --variation 2").status == 2);
  CHECK(run_radius("--counts 3,1 --prefix-error -1").status == 2);
}

TEST_CASE("radius in words: never more digits than the value holds, rounded down") {
  const tests::Outcome outcome = run_radius("--counts 300,0 --mechanism laplace");
  CHECK(outcome.status == 0);
  CHECK(outcome.output.find("prediction  0 (300 of 300 draws)") != std::string::npos);
  const auto at = outcome.output.find("radius      ");
  REQUIRE(at != std::string::npos);
  const double printed = std::stod(outcome.output.substr(at + 12));
  const auto exact = nlohmann::json::parse(
                         run_radius("--counts 300,0 --mechanism laplace --json").output)["radius"]
                         .get<double>();
  CHECK(printed <= exact);
  CHECK(printed > exact * (1 - 2e-5));
  CHECK(outcome.output.find("can never certify") == std::string::npos);
}

TEST_CASE("radius says when no counts of that many draws could certify") {
  const tests::Outcome few = run_radius("--counts 3,2 --bound clopper-pearson");
  CHECK(few.status == 0);
  CHECK(few.output.find("radius      0") != std::string::npos);
  CHECK(few.output.find("even 5 of 5 reach only") != std::string::npos);
  CHECK(few.output.find("take at least 6 draws") != std::string::npos);  // (0.05 / 2)^(1/6) > 1/2
  CHECK(run_radius("--counts 6,0 --bound clopper-pearson").output.find("can never") ==
        std::string::npos);
  const tests::Outcome even = run_radius("--counts 150,150");
  CHECK(even.output.find("radius      0") != std::string::npos);
  CHECK(even.output.find("even") == std::string::npos);
}

TEST_CASE("a label selected on separate draws certifies more") {
  const auto radius = [](const std::string& more) {
    return nlohmann::json::parse(
               run_radius("--counts 80,15,5 --bound clopper-pearson --json " + more)
                   .output)["radius"]
        .get<double>();
  };
  CHECK(radius("--selected 0") > radius(""));
  CHECK(radius("--selected 1") == 0.0);
}

TEST_CASE("a label of two is certified among the two first") {
  const tests::Outcome outcome = run_radius("--counts 140,130,20,10 --top 2");
  CHECK(outcome.output.find("of every other label's but the 1 largest") != std::string::npos);
  CHECK(outcome.output.find("(exact of the 2 first labels, gaussian") != std::string::npos);
  const auto radius = [](const std::string& more) {
    return nlohmann::json::parse(
               run_radius("--counts 140,130,20,10 --json " + more).output)["radius"]
        .get<double>();
  };
  CHECK(radius("") == 0.0);
  CHECK(radius("--top 1") == 0.0);
  CHECK(radius("--top 3") > radius("--top 2"));
  CHECK(radius("--top 2 --certificate pixeldp") > 0.0);
  const tests::Outcome all = run_radius("--counts 9,1 --top 2");
  CHECK(all.status == 2);
  CHECK(all.errors.find("K must be below the number of classes") != std::string::npos);
  CHECK(run_radius("--counts 9,1,1 --top 2 --certificate pixeldp-grid").status == 2);
}

TEST_CASE("radii of published forms, and of what pays once or for no class too many") {
  const auto radius = [](const std::string& arguments) {
    return nlohmann::json::parse(run_radius(arguments + " --json").output)["radius"].get<double>();
  };
  // Two classes pay once.
  CHECK(radius("--counts 200,100") == doctest::Approx(0.29946).epsilon(1e-5));
  CHECK(radius("--counts 200,100 --bound clopper-pearson") ==
        doctest::Approx(0.27986).epsilon(1e-5));
  CHECK(radius("--counts 200,100 --selected 0") == doctest::Approx(0.30321).epsilon(1e-5));
  // Cohen et al. 2019: sigma Phi^-1 of the lower bound at alpha, whatever the number of classes.
  for (const std::string rest : {",0", ",0,0,0,0"}) {
    const std::string one_sided = " --alpha .001 --selected 0 --bound one-sided";
    CHECK(radius("--counts 100000" + rest + one_sided + " --sigma .25") ==
          doctest::Approx(0.952864).epsilon(1e-6));
    CHECK(radius("--counts 14" + rest + one_sided + " --sigma .5") ==
          doctest::Approx(0.140364).epsilon(1e-5));
  }
  // A thousand classes on the same draws.
  const std::string zeros = [] {
    std::string text;
    for (int i = 0; i < 996; ++i) text += ",0";
    return text;
  }();
  CHECK(radius("--counts 180,60,30,30" + zeros + " --bound clopper-pearson") ==
        doctest::Approx(0.231).epsilon(2e-3));
  CHECK(radius("--counts 180,60,30,30" + zeros) == doctest::Approx(0.385).epsilon(1e-3));
  CHECK(radius("--counts 1000,0,0,0" + zeros + " --bound pairwise") ==
        doctest::Approx(2.697).epsilon(1e-3));
  CHECK(run_radius("--counts 9,1 --bound one-sided").status == 2);
}

TEST_CASE("absurd requests are wrong usage, with a reason and nothing on standard output") {
  for (const char* arguments : {"",
                                "--counts 0,0",
                                "--counts -1,3",
                                "--counts 1,,2",
                                "--counts 1.5,2",
                                "--counts 7",
                                "--counts 99999999999999999999,1",
                                "--counts 4294967295,1",
                                "--counts 3,1 --alpha 0",
                                "--counts 3,1 --alpha 1",
                                "--counts 3,1 --alpha nan",
                                "--counts 3,1 --sigma 0",
                                "--counts 3,1 --sigma -1",
                                "--counts 3,1 --sigma nan",
                                "--counts 3,1 --sigma inf",
                                "--counts 3,1 --sensitivity 0",
                                "--counts 3,1 --sensitivity nan",
                                "--counts 3,1 --bound wilson",
                                "--counts 3,1 --certificate best",
                                "--counts 3,1 --mechanism none",
                                "--counts 3,1 --variation 1",
                                "--counts 3,1 --variation nan",
                                "--counts 3,1 --prefix-error -1",
                                "--counts 3,1 --prefix-error inf",
                                "--counts 3,1 --selected 2",
                                "--counts 3,1 --selected -1",
                                "--counts 3,1 --sigma 1e308 --sensitivity 1e-300"}) {
    CAPTURE(arguments);
    const tests::Outcome outcome = run_radius(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.output.empty());
    CHECK(run_radius(arguments).errors.size() > 20);
  }
}

TEST_CASE("a misspelt option is named, with the one that was meant") {
  const tests::Outcome outcome = run_radius("--counts 300,0 --sig 1");
  CHECK(outcome.status == 2);
  CHECK(outcome.errors.starts_with(
      "pixeldp: error: there is no option '--sig'; did you mean '--sigma'?\n"));
}

TEST_CASE("a value that an option does not take is named, with what it takes") {
  CHECK(run_radius("--counts 300,0 --sigma x")
            .errors.starts_with(
                "pixeldp: error: --sigma: 'x' is not a number, or too large a one\n"));
  CHECK(run_radius("--counts 300,0 --top 1.5")
            .errors.starts_with("pixeldp: error: --top: '1.5' is not a number that it takes\n"));
}

TEST_CASE("radius lists the values of its choices") {
  const tests::Outcome help = run_radius("--help");
  CHECK(help.status == 0);
  for (const char* choice : {"gaussian", "laplace", "hoeffding", "empirical-bernstein", "betting",
                             "clopper-pearson", "pairwise", "one-sided", "pixeldp-grid", "exact"})
    CHECK(help.output.find(choice) != std::string::npos);
}

}  // namespace
}  // namespace pixeldp
