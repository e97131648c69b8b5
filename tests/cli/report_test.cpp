#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "engine/io/file.hpp"
#include "tests/pixeldp/made_run.hpp"
#include "tests/temporary_folder.hpp"

namespace pixeldp {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int status = -1;
  std::string output;  ///< standard output
};

/// Runs `pixeldp report` in a folder; its errors go to a file named errors there.
Outcome report(const fs::path& folder, const std::string& arguments) {
  const std::string command = fmt::format("cd '{}' && '{}' report {} 2>errors", folder.string(),
                                          PIXELDP_PROGRAM, arguments);
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Outcome outcome;
  for (int c; (c = std::fgetc(pipe)) != EOF;) outcome.output += static_cast<char>(c);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  return outcome;
}

std::string read(const fs::path& path) { return std::string(as_text(read_file(path))); }

}  // namespace

TEST_CASE("pixeldp report writes the page and its numbers") {
  TemporaryFolder folder;
  tests::write_made_run(folder / "run", {.images = 20});
  tests::write_made_run(folder / "base", {.mechanism = Mechanism::none, .images = 20});
  CHECK(report(folder.path(), "run base").status == 0);
  CHECK(read(folder / "report.html").starts_with("<!DOCTYPE html>"));
  CHECK(read(folder / "report.csv").starts_with("run,threshold,"));

  const Outcome outcome = report(folder.path(), "run --output page.html --image 3 --json");
  CHECK(outcome.status == 0);
  const nlohmann::json summary = nlohmann::json::parse(outcome.output);
  CHECK(summary["page"] == "page.html");
  CHECK(summary["csv"] == "page.csv");
  CHECK(summary["runs"][0]["run"] == "run");
  CHECK(summary["runs"][0]["images"] == 20);
  CHECK(summary["runs"][0]["accuracy"] ==
        summary["runs"][0]["thresholds"][0]["certified_accuracy"]);
  CHECK(read(folder / "page.html").find(": image 3,") != std::string::npos);
}

TEST_CASE("pixeldp report fails with the documented status") {
  TemporaryFolder folder;
  tests::write_made_run(folder / "run", {.images = 3});
  fs::create_directory(folder / "bare");
  CHECK(report(folder.path(), "missing").status == 1);
  CHECK(report(folder.path(), "bare").status == 1);
  CHECK(read(folder / "errors").find("pixeldp certify bare") != std::string::npos);
  CHECK(report(folder.path(), "run --output no/such/folder/page.html").status == 1);
  CHECK(report(folder.path(), "run --output /dev/full").status == 1);
  CHECK(report(folder.path(), "").status == 2);
  CHECK(report(folder.path(), "run run").status == 2);
  CHECK(report(folder.path(), "run --image 99").status == 2);
  CHECK(report(folder.path(), "run --output page.csv").status == 2);
  CHECK_FALSE(fs::exists(folder / "page.csv"));
  std::ofstream(folder / "run" / "certificates.jsonl", std::ios::app) << "{}\n";
  CHECK(report(folder.path(), "run").status == 1);
  CHECK(read(folder / "errors").find("certificates.jsonl:5: ") != std::string::npos);
}

}  // namespace pixeldp
