#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "tests/cli/foreign_weights.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/real_data.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

namespace {

/// Made-up images, and weights of a small ResNet for them as Cohen et al. save them.
struct SmoothedWorkplace : MadeWorkplace {
  SmoothedWorkplace() : MadeWorkplace(2, 16, 8) {
    SafetensorsFile file = foreign_weights("1.module.");
    file.tensors["0.means"] = SafeTensor::from_floats({1}, std::vector<float>{0.13f});
    file.tensors["0.sds"] = SafeTensor::from_floats({1}, std::vector<float>{0.31f});
    write_safetensors(folder / "foreign.safetensors", file);
  }
  void import_to(const std::string& options) const {
    done("import foreign.safetensors --architecture resnet --depth 8 --dataset mnist --output " +
         options);
  }
  CertificateLog log(const std::string& name) const {
    return read_certificate_log(folder / name / "certificates.jsonl");
  }
};

std::vector<std::vector<std::uint64_t>> votes(const CertificateLog& log) {
  std::vector<std::vector<std::uint64_t>> all;
  for (const CertificateRecord& record : log.records) all.push_back(record.statistics.votes);
  return all;
}

}  // namespace

TEST_CASE("noise given at import and noise given at certification are the same noise") {
  const SmoothedWorkplace place;
  const std::string noise = " --noise gaussian --sigma 0.12 ";
  place.import_to("smoothed" + noise);
  place.import_to("plain");
  const std::string certify = " --certificate exact --draws 40 --json" + place.data();
  const Outcome own = place.run("certify smoothed" + certify);
  REQUIRE_MESSAGE(own.status == 0, own.errors);
  CHECK(json::parse(own.output)["noise_at_certification"] == false);
  CHECK(json::parse(own.output)["new_draws"] == 8 * 40);
  const Outcome given = place.run("certify plain" + certify + noise);
  REQUIRE_MESSAGE(given.status == 0, given.errors);
  CHECK(json::parse(given.output)["noise_at_certification"] == true);

  const CertificateLog a = place.log("smoothed"), b = place.log("plain");
  CHECK(votes(a) == votes(b));
  CHECK(!a.header.noise_at_certification);
  CHECK(b.header.noise_at_certification);
  for (const CertificateLog* log : {&a, &b}) {
    CHECK(!log->header.calibration.construction);
    CHECK(log->header.calibration.noise_scale == 0.12f);
    CHECK(log->header.calibration.sensitivity == 1.0);
  }
  for (std::size_t i = 0; i < a.records.size(); ++i)
    CHECK(a.records[i].radius == b.records[i].radius);

  // The log goes on with that noise only.
  CHECK(place.run("certify plain --resume" + certify + noise).status == 0);
  for (const char* other :
       {"", " --noise gaussian --sigma 0.13", " --noise laplace --sigma 0.12"}) {
    CAPTURE(other);
    const Outcome resumed = place.run("certify plain --resume" + certify + other);
    CHECK(resumed.status == 1);
    CHECK_MESSAGE(resumed.errors.find("other conditions") != std::string::npos, resumed.errors);
  }

  // Everything that follows copes without a construction.
  const Outcome again = place.run(
      "recertify plain/certificates.jsonl --certificate pixeldp --output again.jsonl --json");
  CHECK_MESSAGE(again.status == 0, again.errors);
  CHECK(place.run("report smoothed plain --output page.html").status == 0);
  const std::string predict = " test:3 --draws 40 --certificate exact --json" + place.data();
  const Outcome one = place.run("predict smoothed" + predict);
  const Outcome other = place.run("predict plain" + predict + noise);
  REQUIRE_MESSAGE(one.status == 0, one.errors);
  REQUIRE_MESSAGE(other.status == 0, other.errors);
  CHECK(one.output == other.output);
  CHECK(json::parse(one.output)["predictions"][0]["counts"] == votes(a)[3]);
}

TEST_CASE("Laplace noise in the image is certified in the 1-norm") {
  const SmoothedWorkplace place;
  place.import_to("run --noise laplace --sigma 0.05");
  const Outcome outcome = place.run("certify run --draws 40 --certificate exact" + place.data());
  REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
  const Calibration c = place.log("run").header.calibration;
  CHECK(c.mechanism == Mechanism::laplace);
  CHECK(c.attack_norm == AttackNorm::l1);
  CHECK(c.sensitivity == 1.0);
}

TEST_CASE("noise that makes no sense is refused") {
  const SmoothedWorkplace place;
  place.import_to("smoothed --noise gaussian --sigma 0.12");
  place.import_to("plain");
  const auto refused = [&](const std::string& arguments, const std::string& part) {
    CAPTURE(arguments);
    const Outcome outcome = place.run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
  };
  for (const std::string command : {"certify ", "predict "}) {
    const std::string image = command == "predict " ? " test:0 " : "";
    const auto with = [&](const std::string& run, const std::string& options) {
      return command + run + image + place.data() + " " + options;
    };
    refused(with("smoothed", "--noise gaussian --sigma 0.12"), "noise of its own");
    refused(with("plain", "--noise gaussian"), "go together");
    refused(with("plain", "--sigma 0.1"), "go together");
    refused(with("plain", "--noise none --sigma 0.1"), "--noise");
    refused(with("plain", "--noise gaussian --sigma 0"), "noise scale of 0");
    refused(with("plain", "--noise gaussian --sigma nan"), "noise scale of nan");
    refused(with("plain", "--noise gaussian --sigma 0.1 --precision int8"), "int8");
  }
  CHECK(!std::filesystem::exists(place.folder / "plain" / "certificates.jsonl"));
}

TEST_CASE("ResNet-20 for CIFAR-10 with noise certifies beyond .15") {
  const auto data = real_data({"cifar-10", resnet20});
  if (!data) return;
  const TemporaryFolder folder;
  const Outcome imported = run_program(
      "import '" + (*data / resnet20).string() +
          "' --architecture resnet --depth 20 --dataset cifar-10 --mean .485,.456,.406 --std "
          ".229,.224,.225 --noise gaussian --sigma 0.12 --output run",
      folder.path());
  REQUIRE_MESSAGE(imported.status == 0, imported.errors);
  const Outcome certified =
      run_program("certify run --images 0:6 --draws 60 --certificate exact --json", folder.path());
  REQUIRE_MESSAGE(certified.status == 0, certified.errors);
  const CertificateLog log = read_certificate_log(folder / "run" / "certificates.jsonl");
  int beyond = 0;
  for (const CertificateRecord& record : log.records) beyond += record.radius > 0.15;
  CHECK(beyond > 0);
}
