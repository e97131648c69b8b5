#include <nlohmann/json.hpp>

#include "tests/cli/program.hpp"
#include "tests/made_mnist.hpp"

/// A regression network from training to report, as a user does it.

using namespace pixeldp;
using namespace pixeldp::tests;

namespace {

void check_regression_refusal(const std::string& arguments, const std::filesystem::path& folder,
                              const std::string& part) {
  CAPTURE(arguments);
  const Outcome outcome = run_program(arguments, folder);
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
}

}  // namespace

TEST_CASE("an angle is trained, certified, verified, merged, predicted and reported") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "data");
  write_made_mnist(folder / "data");
  std::string config = made_mnist_config(folder / "data", 12);
  const auto put = [&](const std::string& from, const std::string& to) {
    config.replace(config.find(from), from.size(), to);
  };
  put("set: mnist", "set: mnist-angle");
  put("mnist-cnn", "mnist-cnn, output: sigmoid, output_low: -50, output_high: 50");
  write_file_atomically(folder / "angle.yaml", config);

  const Outcome trained = run_program("train angle.yaml --output run", folder.path());
  REQUIRE_MESSAGE(trained.status == 0, trained.errors);
  CHECK(trained.output.find("test error") != std::string::npos);
  CHECK(text_of(folder / "run/training.csv")
            .starts_with("step,learning_rate,noise_factor,loss,train_error,test_error,"));

  const std::string common = "certify run --data data --draws 60 --radius 0.05 --move 20 ";
  const Outcome whole = run_program(common + "--images :6", folder.path());
  REQUIRE_MESSAGE(whole.status == 0, whole.errors);
  CHECK(whole.output.find("exact certificate of the mean") != std::string::npos);
  const std::string log = text_of(folder / "run/certificates.jsonl");
  // Two halves make the same log, by merging or by going on.
  REQUIRE(run_program(common + "--images :3 --output a.jsonl", folder.path()).status == 0);
  REQUIRE(run_program(common + "--images 2:6 --output b.jsonl", folder.path()).status == 0);
  REQUIRE(run_program("merge b.jsonl a.jsonl --output c.jsonl", folder.path()).status == 0);
  CHECK(text_of(folder / "c.jsonl") == log);
  REQUIRE(run_program(common + "--images :6 --output b.jsonl --resume", folder.path()).status == 0);
  CHECK(text_of(folder / "b.jsonl") == log);

  const Outcome verified =
      run_program("verify run/certificates.jsonl --data data --fraction 1 --json", folder.path());
  REQUIRE_MESSAGE(verified.status == 0, verified.errors);
  CHECK(nlohmann::json::parse(verified.output)["draws"] == 360);

  const Outcome predicted = run_program(
      "predict run test:1 --data data --draws 60 --radius 0.05 --move 20 --json", folder.path());
  REQUIRE_MESSAGE(predicted.status == 0, predicted.errors);
  const auto prediction = nlohmann::json::parse(predicted.output)["predictions"][0];
  const auto line =
      nlohmann::json::parse(log.substr(log.find("{\"image\":1"))
                                .substr(0, log.substr(log.find("{\"image\":1")).find('\n')));
  CHECK(prediction["prediction"] == line["prediction"]);
  CHECK(prediction["interval"] == line["interval"]);
  CHECK(prediction["radius"] == line["radius"]);

  const Outcome reported = run_program("report run --data data --output page.html", folder.path());
  REQUIRE_MESSAGE(reported.status == 0, reported.errors);
  const std::string page = text_of(folder / "page.html");
  CHECK(page.find("data:image/png") != std::string::npos);
  CHECK(page.find("pixeldp of the mean, hoeffding") != std::string::npos);
  CHECK(text_of(folder / "page.csv").starts_with("run,prediction,certificate,bound,radius,"));

  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"certify run --data data", "by --radius R"},
           {"certify run --data data --radius 0.1 --scores softmax", "--scores is for classifiers"},
           {"certify run --data data --radius 0.1 --tolerance 0.1", "--tolerance"},
           {"certify run --data data --radius 0.1 --bound clopper-pearson", "are of votes"},
           {"certify run --data data --radius 0.1 --device emulated --output d.jsonl",
            "regression networks are for processors"},
           {"certify run --data data --move 100", "no output ever moves farther"},
           {"certify run --data data --radius -1", "above 0"},
           {"train angle.yaml --output other --device emulated",
            "regression networks are for processors"},
           {"attack run --size 0.1", "attacks are for classifiers"},
           {"quantise run", "scales for int8 are for classifiers"},
           {"plan run --radius 0.1", "plans are for classifiers"},
           {"recertify run/certificates.jsonl --alpha 0.01 --output e.jsonl",
            "the log of a regression network"}})
    check_regression_refusal(arguments, folder.path(), part);

  const Outcome outside =
      run_program("train angle.yaml --output narrow --set network.output_high=20", folder.path());
  CHECK(outside.status == 1);
  CHECK(outside.errors.find("outside the range of the output from -50 to 20") != std::string::npos);
}
