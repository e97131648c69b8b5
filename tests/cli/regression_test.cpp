#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/cli/launcher.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/log_text.hpp"

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

/// A regression network that was trained for some steps, with the options of a certification.
struct AngleWorkplace : MadeWorkplace {
  const std::string certify = "certify run --data . --draws 60 --radius 0.05 --move 20 ";
  explicit AngleWorkplace(const std::string& settings = "") {
    std::string config = made_mnist_config(folder.path(), 12);
    const auto put = [&](const std::string& from, const std::string& to) {
      config.replace(config.find(from), from.size(), to);
    };
    put("set: mnist", "set: mnist-angle");
    put("mnist-cnn", "mnist-cnn, output: sigmoid, output_low: -50, output_high: 50");
    write_file_atomically(folder / "angle.yaml", config);
    done("train angle.yaml --output run " + settings);
  }
  std::string text(const std::string& name) const { return text_of(folder / name); }
};

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

  CHECK(whole.output.find("charged           3.65e-07 of total variation") != std::string::npos);
  CHECK(log.find("\"variation\":") != std::string::npos);
  CHECK(log.find("\"prefix_error\":") != std::string::npos);
  // A log of an older version is charged nothing: it goes on so, is verified so, and is not mixed.
  std::string older = log;
  for (const char* key : {"\"variation\":", "\"prefix_error\":"})
    older.erase(older.find(key), older.find(',', older.find(key)) + 1 - older.find(key));
  write_file_atomically(folder / "head", rechained(older.substr(0, older.find('\n') + 1)));
  REQUIRE(run_program(common + "--images :6 --output head --resume", folder.path()).status == 0);
  CHECK(text_of(folder / "head").find("variation") == std::string::npos);
  CHECK(run_program("verify head --run run --data data --fraction 1", folder.path()).status == 0);
  CHECK(run_program("merge head a.jsonl --output mixed", folder.path())
            .errors.find("prefix_error: null and") != std::string::npos);

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
           {"certify run --data data --move 100", "no output ever moves farther"},
           {"certify run --data data --radius -1", "above 0"},
           {"train angle.yaml --output other --device emulated",
            "regression networks are for processors"},
           {"quantise run", "scales for int8 are for classifiers"},
           {"plan run --radius 0.1", "plans are for classifiers"}})
    check_regression_refusal(arguments, folder.path(), part);

  const Outcome outside =
      run_program("train angle.yaml --output narrow --set network.output_high=20", folder.path());
  CHECK(outside.status == 1);
  CHECK(outside.errors.find("outside the range of the output from -50 to 20") != std::string::npos);
}

TEST_CASE("a regression network is certified in shards and by ranks as by one process") {
  const AngleWorkplace place;
  place.done(place.certify + "--output whole");
  for (const int shard : {2, 0, 1})
    place.done(place.certify + fmt::format("--output a --shard {}/3", shard));
  CHECK_FALSE(std::filesystem::exists(place.folder / "a"));
  place.done("merge a.part-1 a.part-0 a.part-2 --output merged");
  CHECK(place.text("merged") == place.text("whole"));
  std::filesystem::remove(place.folder / "a.part-1");
  place.refused(place.certify + "--output a", "there is a part of this certification already", 1);
  place.refused(place.certify + "--output a --resume --seed 2", "seed: 2 and 1", 1);
  place.done(place.certify + "--output a --resume");
  CHECK(place.text("a") == place.text("whole"));
  CHECK_FALSE(std::filesystem::exists(place.folder / "a.part-0"));
  place.done(place.certify + "--output b --shard 40/50");
  CHECK_FALSE(std::filesystem::exists(place.folder / "b.part-40"));

  if (!can_launch()) return;
  const auto by_ranks = [&](int ranks, const std::string& arguments) {
    const Outcome outcome =
        RunningProgram(split_words(arguments), place.folder.path(), "OMP_NUM_THREADS=1",
                       fmt::format("mpirun --oversubscribe --allow-run-as-root -n {}", ranks))
            .wait();
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    CHECK_FALSE(std::filesystem::exists(place.folder / "of-ranks.part-1"));
    return outcome.output;
  };
  for (const int ranks : {2, 3}) {
    const std::string output = by_ranks(ranks, place.certify + "--json --output of-ranks");
    CHECK(place.text("of-ranks") == place.text("whole"));
    CHECK(std::ranges::count(output, '\n') == 1);
    CHECK(nlohmann::json::parse(output)["new_draws"] == 32 * 60);
    std::filesystem::remove(place.folder / "of-ranks");
  }

  // The draws of single images.
  const std::string predict = "predict run test:3 test:1 --data . --draws 1300";
  CHECK(by_ranks(2, predict) == place.done(predict));
  const std::string few = "certify run --data . --draws 1600 --radius 0.05 --images 4:6 --output ";
  place.done(few + "few");
  by_ranks(3, few + "of-ranks");
  CHECK(place.text("of-ranks") == place.text("few"));
}

TEST_CASE("a regression network's certification that is stopped at random moments goes on") {
  const AngleWorkplace place;
  const std::string certify = "certify run --data . --draws 400 --radius 0.05 --move 20 ";
  const auto start = std::chrono::steady_clock::now();
  place.done(certify + "--output whole");
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  const std::string whole = place.text("whole");
  const auto log = place.folder / "log";
  std::mt19937_64 random(21);
  int within = 0;
  for (int i = 0; i < moments(); ++i) {
    CAPTURE(i);
    RunningProgram program(split_words(certify + "--resume --output log"), place.folder.path());
    std::this_thread::sleep_for(std::uniform_real_distribution<double>(0.0, 1.1)(random) * time);
    program.signal(i % 4 == 1 ? SIGTERM : SIGKILL);
    const Outcome outcome = program.wait();
    const std::string text = std::filesystem::exists(log) ? text_of(log) : "";
    CHECK(whole.starts_with(text));
    within += outcome.status != 0 && !text.empty();
    if (outcome.status != 0) continue;
    CHECK(text == whole);
    std::filesystem::remove(log);
  }
  MESSAGE(within << " of " << moments() << " signals came in the midst of a log");
  place.done(certify + "--resume --output log");
  CHECK(text_of(log) == whole);
}

TEST_CASE("the log of a regression network is certified anew, and says what that is worth") {
  const AngleWorkplace place;
  place.done(place.certify + "--images :4 --output log");
  const auto wider =
      nlohmann::json::parse(place.done("recertify log --radius 0.1 --output wider --json"));
  CHECK(wider["reserved"] == true);
  CHECK(wider["prediction"] == "mean");
  place.done("certify run --data . --draws 60 --radius 0.1 --move 20 --images :4 --output anew");
  CHECK(place.text("wider") == place.text("anew"));
  const Outcome explored = place.run("recertify log --prediction median --output median --json");
  CHECK(explored.status == 0);
  CHECK(explored.errors.find("this is an exploration") != std::string::npos);
  CHECK(nlohmann::json::parse(explored.output)["reserved"] == false);
  CHECK(nlohmann::json::parse(explored.output)["bound"] == "clopper-pearson");
  place.done("recertify median --prediction mean --output again");
  CHECK(place.text("again") == place.text("log"));
  place.done("verify median --run run --data . --fraction 1");
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"--scores softmax", "--scores is for classifiers"},
           {"--top 2", "--top is for classifiers"},
           {"--radius 0", "must be a finite number above 0"},
           {"--certificate cdf", "certificate cdf is for classifiers"},
           {"--prediction median --certificate pixeldp", "speaks of expectations"},
           {"--bound pairwise", "are of votes"}})
    place.refused("recertify log --output x " + arguments, part, 2);
}

TEST_CASE("attacks on a regression network lie within its certificates") {
  const AngleWorkplace place(
      "--set noise.after_layers=0 --set noise.construction_bound=0.4 --set noise.ramp_up=false "
      "--set sensitivity=");
  place.done("certify run --data . --draws 500 --radius 0.6 --images :4 --output honest");
  const std::string attack =
      "attack run --data . --steps 15 --draws 6 --restarts 1 --judge-draws 1000 --json "
      "--certificates ";
  const auto honest = nlohmann::json::parse(place.done(attack + "honest --output against"));
  CHECK(honest["sandwich"]["certificates"] == 4);
  CHECK(honest["sandwich"]["violations"].empty());
  CHECK(honest["mean_move"] > 0.0);
  CHECK(honest["mean_move"] <= honest["sandwich"]["mean_certified_move"]);
  const auto at_size =
      nlohmann::json::parse(place.done("attack run --data . --size 0.3 --attack fgsm --images :2 "
                                       "--output fgsm --json"));
  CHECK(at_size["images"] == 2);
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"--size 1 --targeted", "--targeted is for classifiers"},
           {"--size 1 --loss hinge", "--loss is for classifiers"},
           {"--size 1 --against certified:0.1", "--against is for classifiers"},
           {"--size 1 --alpha 0.1", "--alpha, --bound or --certificate is for classifiers"},
           {"--size 1 --sanity", "--sanity is for classifiers"},
           {"--size 1 --sound", "--sound is for classifiers"},
           {"--size 1 --save x", "--save is for classifiers"},
           {"--attack cw", "a regression network has no labels"},
           {"", "--size is missing"}})
    place.refused("attack run --data . --output x " + arguments, part, 2);
  place.refused(attack + "honest --norm inf --output x", "another norm: 2, where inf is attacked",
                1);
}
