#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/log_text.hpp"

/// certify --sound from the image to the checked log.

using namespace pixeldp;
using namespace pixeldp::tests;
namespace fs = std::filesystem;

namespace {

struct Sound : MadeWorkplace {
  const std::string certify = "certify run --data . --draws 40 --sound ";
  Sound() {
    done("train made.yaml --output run --set training.steps=12");
    done(certify + "--output whole");
  }
  std::string whole() const { return text_of(folder / "whole"); }
};

const Sound& sound() {
  static const Sound place;
  return place;
}

}  // namespace

TEST_CASE("a sound log names its lattice, and is the same whatever the instructions and batches") {
  const Sound& place = sound();
  const CertificateLog log = read_certificate_log(place.folder / "whole");
  const Calibration& calibration = log.header.calibration;
  CHECK(calibration.lattice_step == calibration.noise_scale * 0x1p-20);
  CHECK(calibration.variation > 1e-14);
  CHECK(calibration.variation < 1e-12);
  for (const char* instructions : {"plain", "avx2"}) {
    place.done(place.certify + "--micro-batch 7 --output " + instructions,
               std::string("PIXELDP_INSTRUCTIONS=") + instructions);
    CHECK(text_of(place.folder / instructions) == place.whole());
  }
  const auto report = nlohmann::json::parse(place.done(place.certify + "--json --output json"));
  CHECK(report["lattice_step"] == calibration.lattice_step);
  CHECK(report["variation"] == calibration.variation);
  CHECK(place.done(place.certify + "--images :2 --output text").find("sound noise on a lattice") !=
        std::string::npos);
}

TEST_CASE("sound logs are merged, continued, verified and recertified as others are") {
  const Sound& place = sound();
  place.done(place.certify + "--output part --shard 0/2");
  place.done(place.certify + "--output part --shard 1/2");
  place.done("merge part.part-0 part.part-1 --output merged");
  CHECK(text_of(place.folder / "merged") == place.whole());
  write_file_atomically(place.folder / "cut", place.whole().substr(0, place.whole().size() / 2));
  place.done(place.certify + "--output cut --resume");
  CHECK(text_of(place.folder / "cut") == place.whole());
  write_file_atomically(place.folder / "run/sound.jsonl", place.whole());
  place.done("verify run/sound.jsonl --fraction 1" + place.data());
  place.done("recertify whole --alpha 0.2 --output easier");
  const CertificateLog easier = read_certificate_log(place.folder / "easier");
  CHECK(easier.header.calibration.variation > 0.0);
  // Other counts than the same draws give in floats, and not to be mixed with them.
  place.done("certify run --data . --draws 40 --output floats");
  CHECK(text_of(place.folder / "floats").find("lattice_step") == std::string::npos);
  place.refused("certify run --data . --draws 40 --output floats --resume --sound", "lattice_step",
                1);
  place.refused("merge whole floats --output mixed", "lattice_step", 1);
  place.done("certify run --data . --sound --radius 0.05 --draws 100 --output stopped");
  write_file_atomically(place.folder / "run/stopped.jsonl", text_of(place.folder / "stopped"));
  place.done("verify run/stopped.jsonl --fraction 1" + place.data());
}

TEST_CASE("noise in the image and Laplace noise are sound, too; what is not is refused by name") {
  const Sound& place = sound();
  const std::string other = "train made.yaml --set training.steps=2 --set noise.after_layers=";
  place.done(other + "0 --set sensitivity.control=none --output image");
  place.done("certify image --data . --draws 20 --sound");
  CHECK(read_certificate_log(place.folder / "image/certificates.jsonl")
            .header.calibration.sensitivity == doctest::Approx(1.0).epsilon(1e-3));
  place.done("verify image/certificates.jsonl --fraction 1" + place.data());
  place.done(other +
             "1 --set noise.mechanism=laplace --set noise.attack_norm=1 --set "
             "sensitivity.control=normalise-columns --output laplace");
  place.done("certify laplace --data . --draws 20 --sound");
  place.done("verify laplace/certificates.jsonl --fraction 1" + place.data());
  place.done(other + "2 --output second");
  place.refused("certify second --data . --draws 20 --sound", "layer conv2 before the noise", 2);
  place.refused(place.certify + "--device emulated --output gpu", "on processors only", 2);
  place.done("train made.yaml --set training.steps=2 --set noise.mechanism=none --output quiet");
  place.refused("certify quiet --data . --draws 20 --sound", "has no noise", 1);
  place.done(
      "train made.yaml --set training.steps=2 --set noise.construction_bound=1e-5 --output little");
  place.refused("certify little --data . --draws 20 --sound", "is more than 1024 noise scales", 2);
}
