#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"

namespace pixeldp {
namespace {

using tests::Outcome;

Outcome report(const std::filesystem::path& folder, const std::string& arguments) {
  return tests::run_program("report " + arguments, folder);
}

}  // namespace

TEST_CASE("pixeldp report writes the page and its numbers") {
  TemporaryFolder folder;
  tests::write_made_run(folder / "run", {.images = 20});
  tests::write_made_run(folder / "base", {.mechanism = Mechanism::none, .images = 20});
  CHECK(report(folder.path(), "run base").status == 0);
  CHECK(tests::text_of(folder / "report.html").starts_with("<!DOCTYPE html>"));
  CHECK(tests::text_of(folder / "report.csv").starts_with("run,threshold,"));

  const Outcome outcome = report(folder.path(), "run --output page.html --image 3 --json");
  CHECK(outcome.status == 0);
  const nlohmann::json summary = nlohmann::json::parse(outcome.output);
  CHECK(summary["page"] == "page.html");
  CHECK(summary["csv"] == "page.csv");
  CHECK(summary["runs"][0]["run"] == "run");
  CHECK(summary["runs"][0]["images"] == 20);
  CHECK(summary["runs"][0]["accuracy"] ==
        summary["runs"][0]["thresholds"][0]["certified_accuracy"]);
  CHECK(tests::text_of(folder / "page.html").find(": image 3,") != std::string::npos);
}

TEST_CASE("pixeldp report fails with the documented status") {
  TemporaryFolder folder;
  tests::write_made_run(folder / "run", {.images = 3});
  std::filesystem::create_directory(folder / "bare");
  CHECK(report(folder.path(), "missing").status == 1);
  const Outcome bare = report(folder.path(), "bare");
  CHECK(bare.status == 1);
  CHECK(bare.errors.find("pixeldp certify bare") != std::string::npos);
  CHECK(report(folder.path(), "run --output no/such/folder/page.html").status == 1);
  CHECK(report(folder.path(), "run --output /dev/full").status == 1);
  CHECK(report(folder.path(), "").status == 2);
  CHECK(report(folder.path(), "run run").status == 2);
  CHECK(report(folder.path(), "run --image 99").status == 2);
  CHECK(report(folder.path(), "run --output page.csv").status == 2);
  CHECK_FALSE(std::filesystem::exists(folder / "page.csv"));
  std::ofstream(folder / "run" / "certificates.jsonl", std::ios::app) << "{}\n";
  const Outcome damaged = report(folder.path(), "run");
  CHECK(damaged.status == 1);
  CHECK(damaged.errors.find("certificates.jsonl:5: ") != std::string::npos);
}

}  // namespace pixeldp
