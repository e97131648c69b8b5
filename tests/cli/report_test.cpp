#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/file_size_limit.hpp"
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
  CHECK(tests::text_of(folder / "report.csv").starts_with("run,certificate,"));
  CHECK(tests::text_of(folder / "report.html").find("<a href=\"report.csv\">") !=
        std::string::npos);

  const Outcome outcome = report(folder.path(), "run --output page.html --image 3 --json");
  CHECK(outcome.status == 0);
  const nlohmann::json summary = nlohmann::json::parse(outcome.output);
  CHECK(summary["page"] == "page.html");
  CHECK(summary["csv"] == "page.csv");
  CHECK(summary["runs"][0]["run"] == "run");
  CHECK(summary["runs"][0]["images"] == 20);
  const nlohmann::json& run = summary["runs"][0];
  CHECK(run["certified"][0]["threshold"] == 0.0);
  CHECK(run["certified"][0]["certified_fraction"] == 1.0 - run["abstention"].get<double>());
  CHECK(run["certified"][0]["certified_accuracy"] <= run["accuracy"]);
  CHECK(run["accuracy_interval"][0] < run["accuracy"]);
  CHECK(run["accuracy_interval"][1] > run["accuracy"]);
  // The same counts under both certificates, each with what it depends on.
  CHECK(run["certificate"] == "pixeldp");
  CHECK(run["alpha"] == 0.05);
  CHECK(run["draws"] == 300);
  CHECK(run["others"].size() == 1);
  CHECK(run["others"][0]["certificate"] == "exact");
  CHECK(run["others"][0]["mean_radius"] > run["mean_radius"]);
  CHECK(tests::text_of(folder / "page.html").find(": image 3,") != std::string::npos);
}

TEST_CASE("a page that cannot be written whole leaves the one before as it was") {
  TemporaryFolder folder;
  tests::write_made_run(folder / "run", {.images = 3});
  REQUIRE(report(folder.path(), "run --output page.html").status == 0);
  const std::string page = tests::text_of(folder / "page.html");
  // As on a full disk: a limit that the program inherits, within the page.
  Outcome outcome;
  {
    const tests::FileSizeLimit limit(page.size() / 2);
    outcome = report(folder.path(), "run --output page.html --image 1");
  }
  CHECK(outcome.status == 1);
  CHECK_MESSAGE(outcome.errors.find("cannot write 'page.html'") != std::string::npos,
                outcome.errors);
  CHECK(tests::text_of(folder / "page.html") == page);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    CHECK(entry.path().extension() != ".tmp");
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
