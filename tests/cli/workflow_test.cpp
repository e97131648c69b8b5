#include <map>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "tests/cli/made_workplace.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;
namespace {

/// Counts and radii by image, without the order they were written in.
std::map<std::int64_t, std::pair<std::vector<std::uint64_t>, double>> certificates(
    const std::filesystem::path& log) {
  std::map<std::int64_t, std::pair<std::vector<std::uint64_t>, double>> result;
  for (const CertificateRecord& r : read_certificate_log(log).records)
    result[r.image] = {r.statistics.votes, r.radius};
  return result;
}

}  // namespace

TEST_CASE("train, certify, predict and report, as a user does it") {
  const MadeWorkplace place(60);
  const Outcome trained = place.run("train made.yaml --output run --json");
  REQUIRE_MESSAGE(trained.status == 0, trained.errors);
  // Standard error is no terminal: a line every twentieth of the way.
  CHECK(std::count(trained.errors.begin(), trained.errors.end(), '\n') == 20);
  CHECK(trained.errors.find("train made  30/60 steps  50%") != std::string::npos);
  CHECK(trained.errors.find(" left  loss ") != std::string::npos);
  CHECK(json::parse(trained.output)["test_accuracy"] > 0.9);

  const Outcome certified = place.run("certify run --draws 50 --json" + place.data());
  REQUIRE_MESSAGE(certified.status == 0, certified.errors);
  const json report = json::parse(certified.output);
  CHECK(report["images"] == 32);
  CHECK(report["accuracy"] > 0.9);
  CHECK(report["new_draws"] == 32 * 50);
  const CertificateLog log = read_certificate_log(place.folder / "run" / "certificates.jsonl");
  CHECK(log.records.size() == 32);
  CHECK(log.header.model_sha256 == sha256_file(place.folder / "run" / "model.safetensors"));

  const Outcome again = place.run("certify run --draws 50" + place.data());
  CHECK(again.status == 1);
  CHECK(again.errors.find("--resume") != std::string::npos);

  const Outcome predicted = place.run("predict run test:3 test:4 --draws 50 --json" + place.data());
  REQUIRE_MESSAGE(predicted.status == 0, predicted.errors);
  const json predictions = json::parse(predicted.output)["predictions"];
  CHECK(predictions[0]["counts"] == json(log.records[3].statistics.votes));
  CHECK(predictions[1]["radius"] == log.records[4].radius);

  // With every figure what it depends on.
  for (const json& said : {report, json::parse(predicted.output)}) {
    CHECK(said["certificate"] == "exact");
    CHECK(said["bound"] == "pairwise");
    CHECK(said["alpha"] == 0.05);
    CHECK(said["draws"] == 50);
    CHECK(said["precision"] == "fp32");
  }
  const std::string conditions =
      "exact certificate, pairwise bounds of argmax scores, alpha 0.05 per prediction, 50 "
      "draws, fp32 by Winograd's algorithm after the noise";
  for (const std::string& command : {"certify run --draws 50 --output other" + place.data(),
                                     "predict run test:3 --draws 50" + place.data(),
                                     std::string("recertify run/certificates.jsonl --output again"),
                                     std::string("report run --output page.html")}) {
    CAPTURE(command);
    CHECK(place.run(command).output.find(conditions) != std::string::npos);
  }
  // What is not said stays as in the log.
  CHECK(text_of(place.folder / "again") == text_of(place.folder / "run" / "certificates.jsonl"));

  // The same counts under another certificate: exactly what certifying with it would have given.
  REQUIRE(place
              .run("certify run --draws 50 --certificate pixeldp --alpha 0.01 --output paper" +
                   place.data())
              .status == 0);
  const Outcome again_from_counts = place.run(
      "recertify run/certificates.jsonl --certificate pixeldp --alpha 0.01 --output recertified "
      "--json");
  REQUIRE_MESSAGE(again_from_counts.status == 0, again_from_counts.errors);
  CHECK(again_from_counts.errors.find("this is an exploration") != std::string::npos);
  CHECK(certificates(place.folder / "recertified") == certificates(place.folder / "paper"));
  CHECK(json::parse(again_from_counts.output)["mean_radius"] < report["mean_radius"]);
  REQUIRE(place.run("recertify recertified --certificate exact --output back").status == 0);
  const CertificateLog back = read_certificate_log(place.folder / "back");
  CHECK(back.header.options.alpha == 0.01);
  CHECK(back.header.options.kind == CertificateKind::exact);

  CHECK(place.run("report run --output page.html").status == 0);
  CHECK(text_of(place.folder / "page.html").find("</html>") != std::string::npos);

  // Of the two first labels, from the counts and from the start.
  const Outcome two = place.run("recertify run/certificates.jsonl --top 2 --output two");
  REQUIRE_MESSAGE(two.status == 0, two.errors);
  CHECK(two.errors.find("exploration") == std::string::npos);
  CHECK(two.output.find("exact certificate of the 2 first labels") != std::string::npos);
  CHECK(two.output.find("\ntop-2 accuracy    ") != std::string::npos);
  CHECK(two.output.find("certified top-2 accuracy") != std::string::npos);
  std::filesystem::create_directory(place.folder / "run2");
  for (const char* file : {"model.safetensors", "config.yaml"})
    std::filesystem::copy(place.folder / "run" / file, place.folder / "run2" / file);
  REQUIRE(place.run("certify run2 --top 2 --bound pairwise --draws 50" + place.data()).status == 0);
  CHECK(text_of(place.folder / "run2" / "certificates.jsonl") == text_of(place.folder / "two"));
  CHECK(place.run("verify run2/certificates.jsonl --fraction 1" + place.data()).status == 0);
  const Outcome reported = place.run("report run run2 --output page.html --json");
  REQUIRE_MESSAGE(reported.status == 0, reported.errors);
  const json runs = json::parse(reported.output)["runs"];
  CHECK(runs[0]["top"] == 1);
  CHECK(runs[1]["top"] == 2);
  CHECK(runs[1]["accuracy"] >= runs[0]["accuracy"]);
  CHECK(runs[1]["certified"][2]["certified_accuracy"] >=
        runs[0]["certified"][2]["certified_accuracy"]);
  CHECK(text_of(place.folder / "page.html").find("certified top-2 accuracy") != std::string::npos);
  const Outcome among = place.run("predict run test:3 --draws 50 --top 2" + place.data());
  CHECK(among.output.find("certified among the 2 first within radius") != std::string::npos);
  place.refused("certify run --top 10 --output x" + place.data(), "top 10 of 10 classes", 2);
  place.refused("certify run --top 2 --radius 0.1 --output x" + place.data(),
                "give it to recertify", 2);
  place.refused("attack run --certificates two" + place.data(), "--top 1", 1);
  CHECK(place.run("info --json").status == 0);
}

TEST_CASE("a log is the same, byte for byte, whatever the processor's instructions") {
  const MadeWorkplace place(20);
  REQUIRE(place.run("train made.yaml --output run --json").status == 0);
  REQUIRE(place.run("quantise run --images 8" + place.data()).status == 0);
  const std::string options = "certify run --scores softmax --draws 6 --images 0:4" + place.data();
  std::map<std::string, std::string> logs;
  for (const std::string function : {"fp32", "fp32 --algorithm direct", "int8"}) {
    CAPTURE(function);
    const auto certify = [&](const std::string& instructions) {
      const std::string log = function + "-" + instructions;
      const Outcome outcome =
          place.run(options + " --precision " + function + " --output '" + log + "'",
                    instructions == "all" ? "" : "PIXELDP_INSTRUCTIONS=" + instructions + " ");
      REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
      return text_of(place.folder / log);
    };
    const std::string expected = logs[function] = certify("all");
    CHECK(expected.size() > 500);
    for (const char* instructions : {"plain", "avx2", "avx-vnni", "avx512", "avx512-vnni"})
      CHECK(certify(instructions) == expected);
  }
  // Algorithms differ in fp32 alone, and a log of one cannot be continued by the other.
  CHECK(logs["fp32"].find("\"algorithm\":\"winograd\"") != std::string::npos);
  CHECK(logs["fp32 --algorithm direct"].find("\"algorithm\":\"direct\"") != std::string::npos);
  const std::string direct = options + " --algorithm direct --output direct --precision ";
  REQUIRE(place.run(direct + "int8").status == 0);
  CHECK(text_of(place.folder / "direct") == logs["int8"]);
  const Outcome other = place.run(options + " --resume --output 'fp32 --algorithm direct-all'");
  CHECK(other.status == 1);
  CHECK_MESSAGE(other.errors.find("algorithm") != std::string::npos, other.errors);
  CHECK(place.run(options + " --algorithm quick --output x").status == 2);
  const json weights = json::parse(place.run("info run --json").output)["weight_bytes"];
  CHECK(weights["fp32"]["winograd"] > weights["fp32"]["direct"]);
  CHECK(place.run("info nowhere").status == 1);
  const Outcome unknown = place.run("info", "PIXELDP_INSTRUCTIONS=sse9 ");
  CHECK(unknown.status == 2);
  CHECK(unknown.errors.find("sse9") != std::string::npos);
}

TEST_CASE("standardised images are learnt as well, and cost the radii a factor of 28") {
  const MadeWorkplace place(60);
  const auto report = [&](const std::string& arguments) {
    const Outcome outcome = place.run(arguments + " --json");
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return json::parse(outcome.output);
  };
  const json plain = report("train made.yaml --output plain");
  const json trained = report("train made.yaml --output run --set network.standardise=image");
  CHECK(plain["standardise"] == "none");
  CHECK(trained["standardise"] == "image");
  CHECK(trained["test_accuracy"] > 0.9);
  // 28 = sqrt(784); the projection holds both convolutions near 1.
  CHECK(trained["sensitivity"] == doctest::Approx(28 * double{plain["sensitivity"]}).epsilon(0.2));
  const json certified = report("certify run --draws 50" + place.data());
  CHECK(certified["accuracy"] > 0.9);
  CHECK(certified["mean_radius"] > 0.0);
  const json before = report("certify plain --draws 50" + place.data());
  CHECK(double{certified["mean_radius"]} < double{before["mean_radius"]} / 15);
  CHECK(report("predict run test:3 --draws 50" + place.data())["predictions"].size() == 1);
  CHECK(place.run("train made.yaml --output x --set network.standardise=channel").status == 2);
}

TEST_CASE("a trained network is quantised and certified in every precision that there is") {
  const MadeWorkplace place(60);
  REQUIRE(place.run("train made.yaml --output run").status == 0);
  const json info = json::parse(place.run("info --json").output);
  const std::string certify = "certify run --draws 50 --json" + place.data();
  const auto report = [&](const std::string& precision) {
    const Outcome outcome =
        place.run(certify + " --precision " + precision + " --output " + precision);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
    return json::parse(outcome.output);
  };
  const json exact = report("fp32");
  CHECK(exact["precision"] == "fp32");
  const auto near_exact = [&](const json& other) {
    CHECK(std::abs(double{other["accuracy"]} - double{exact["accuracy"]}) < 0.07);
    CHECK(std::abs(double{other["mean_radius"]} - double{exact["mean_radius"]}) < 0.01);
  };
  if (info["avx512_bf16"]) near_exact(report("bf16"));
  CHECK(place.run(certify + " --precision fp8 --output x").status == 2);
  if (!info["avx512_vnni"]) return;
  const Outcome none = place.run(certify + " --precision int8 --output int8");
  CHECK(none.status == 1);
  CHECK(none.errors.find("pixeldp quantise") != std::string::npos);
  const Outcome made = place.run("quantise run --images 30 --json" + place.data());
  REQUIRE_MESSAGE(made.status == 0, made.errors);
  CHECK(json::parse(made.output)["scales"].size() == 2);
  near_exact(report("int8"));
  CHECK(place.run(certify + " --precision fp32 --output int8 --resume").errors.find("precision") !=
        std::string::npos);
  const json predicted = json::parse(
      place.run("predict run test:3 --draws 50 --precision int8 --json" + place.data()).output);
  const auto log = read_certificate_log(place.folder / "int8");
  CHECK(predicted["predictions"][0]["counts"] == json(log.records[3].statistics.votes));
}

TEST_CASE(
    "the same counts for any number of threads, any split of the images and any order of the "
    "work") {
  const MadeWorkplace place;
  REQUIRE(place.run("train made.yaml --output run").status == 0);
  const std::string options = "certify run --draws 70 --seed 9" + place.data();
  REQUIRE(place.run(options + " --output one", "OMP_NUM_THREADS=1").status == 0);
  const auto reference = certificates(place.folder / "one");
  REQUIRE(reference.size() == 32);

  REQUIRE(place.run(options + " --output three", "OMP_NUM_THREADS=3").status == 0);
  CHECK(certificates(place.folder / "three") == reference);
  const std::string beyond = std::to_string(4 * std::thread::hardware_concurrency() + 1);
  const Outcome many = place.run(options + " --output many", "OMP_NUM_THREADS=" + beyond);
  REQUIRE(many.status == 0);
  CHECK(many.errors.find("asks for " + beyond + " threads") != std::string::npos);
  CHECK(certificates(place.folder / "many") == reference);
  for (const char* images : {"20:32", "0:7", "5:25"}) {
    REQUIRE(place.run(options + " --output parts --resume --images " + images).status == 0);
  }
  CHECK(certificates(place.folder / "parts") == reference);
  // Separate draws choose the label; those that certify it stay the same.
  REQUIRE(place.run(options + " --output selected --selection-draws 20").status == 0);
  for (const auto& [image, certificate] : certificates(place.folder / "selected")) {
    CHECK(certificate.first == reference.at(image).first);
  }
  REQUIRE(place.run(options + " --output soft --scores softmax --bound hoeffding").status == 0);
  CHECK(read_certificate_log(place.folder / "soft").records[0].statistics.sums.size() == 10);
}

TEST_CASE("absurd requests are refused with status 2, and nothing is written") {
  const MadeWorkplace place;
  REQUIRE(place.run("train made.yaml --output run --set training.steps=2").status == 0);
  const auto refused = [&](const std::string& arguments, const std::string& part) {
    CAPTURE(arguments);
    const Outcome outcome = place.run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.output.empty());
    CHECK(outcome.errors.find(part) != std::string::npos);
  };
  for (const char* alpha : {"0", "1", "-0.1", "nan"})
    refused("certify run --alpha " + std::string(alpha) + place.data(), "alpha");
  refused("certify run --draws 0" + place.data(), "draws");
  refused("certify run --draws -5" + place.data(), "draws");
  refused("certify run --images 30:20" + place.data(), "30:20");
  refused("certify run --images 0:33" + place.data(), "32 images");
  refused("certify run --images three" + place.data(), "A:B");
  refused("certify run --bound clopper-pearson --scores softmax" + place.data(), "clopper-pearson");
  refused("certify run --bound magic" + place.data(), "hoeffding");
  refused("certify run --certificate magic" + place.data(), "exact");
  refused("certify run --device gpu" + place.data(), "cuda:N");
  refused("certify run --micro-batch -1" + place.data(), "micro-batch");
  refused("certify run --dataset imagenet", "fashion-mnist");
  refused("predict run test:32" + place.data(), "31");
  refused("train made.yaml --output x --set noise.construction_bound=0",
          "noise.construction_bound");
  refused("train made.yaml --output x --set noise.construction_bound=.nan",
          "noise.construction_bound");
  refused("train made.yaml --output x --set training.stpes=3", "steps");
  refused("train made.yaml --output x --set steps", "=");
  refused("train", "config");
  refused("certify run --unknown", "--unknown");
  refused("unknown", "");
  CHECK(!std::filesystem::exists(place.folder / "run" / "certificates.jsonl"));
  CHECK(!std::filesystem::exists(place.folder / "x" / "training.csv"));
}

TEST_CASE("bad files and folders end with status 1 and say which") {
  const MadeWorkplace place;
  REQUIRE(place.run("train made.yaml --output run --set training.steps=2").status == 0);
  const auto fails = [&](const std::string& arguments, const std::string& part) {
    CAPTURE(arguments);
    const Outcome outcome = place.run(arguments);
    CAPTURE(outcome.errors);
    CHECK(outcome.status == 1);
    CHECK(outcome.output.empty());
    CHECK(outcome.errors.find(part) != std::string::npos);
  };
  fails("certify nowhere", "nowhere");
  fails("train nowhere.yaml", "nowhere.yaml");
  fails("certify run --data nowhere", "nowhere");
  fails("predict run nowhere.png", "nowhere.png");
  fails("predict run made.yaml", "PNG");
  fails("certify run --output /dev/full" + place.data(), "/dev/full");
  fails("certify run --output nowhere/log" + place.data(), "nowhere/log");
  fails("train made.yaml --output /dev/null/run", "/dev/null/run");

  const auto images = place.folder / "t10k-images-idx3-ubyte";
  const std::string whole = text_of(images);
  write_file_atomically(images, whole.substr(0, whole.size() - 7));
  fails("certify run" + place.data(), "t10k-images-idx3-ubyte");
  fails("train made.yaml --output other", "t10k-images-idx3-ubyte");
  write_file_atomically(images, whole);

  const auto model = place.folder / "run" / "model.safetensors";
  std::filesystem::resize_file(model, std::filesystem::file_size(model) - 100);
  fails("certify run" + place.data(), "model.safetensors");
}

TEST_CASE("a model without noise is evaluated, and nothing is certified") {
  const MadeWorkplace place;
  REQUIRE(
      place
          .run(
              "train made.yaml --output run --set 'noise={mechanism: none}' --set 'sensitivity={}'")
          .status == 0);
  const Outcome outcome = place.run("certify run --json" + place.data());
  REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
  CHECK(json::parse(outcome.output)["mean_radius"] == 0.0);
  CHECK(json::parse(outcome.output)["new_draws"] == 32);
  CHECK(place.run("report run --output page.html").status == 0);
}
