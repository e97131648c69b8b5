#include <nlohmann/json.hpp>

#include "pixeldp/certificate_log.hpp"
#include "tests/cli/made_workplace.hpp"

namespace pixeldp::histogram_test {
namespace {

using nlohmann::json;
using tests::MadeWorkplace;
using tests::text_of;

TEST_CASE("histograms of scores are certified, verified, extended and reported like all counts") {
  const MadeWorkplace place(60);
  place.done("train made.yaml --output run");
  const std::string certify =
      "certify run --scores softmax --images 0:12 --looks 60,clopper-pearson --draws ";
  const std::string log = "run/certificates.jsonl", histogram = " --histogram" + place.data();
  place.done(certify + "40" + histogram);
  const std::string text = text_of(place.folder / log);
  // Batches and threads do not show, and an interrupted log goes on.
  place.done(certify + "40 --micro-batch 3 --output three" + histogram, "OMP_NUM_THREADS=1 ");
  CHECK(text_of(place.folder / "three") == text);
  write_file_atomically(place.folder / "half", text.substr(0, text.size() / 2));
  place.done(certify + "40 --resume --output half" + histogram);
  CHECK(text_of(place.folder / "half") == text);
  // All else is as without.
  place.done(certify + "40 --output plain" + place.data());
  const CertificateLog with = read_certificate_log(place.folder / log);
  const CertificateLog without = read_certificate_log(place.folder / "plain");
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(with.records[i].statistics.sums == without.records[i].statistics.sums);
    CHECK(with.records[i].statistics.votes == without.records[i].statistics.votes);
    CHECK(with.records[i].radius == without.records[i].radius);
    CHECK(with.records[i].statistics.histogram.size() == 320);
  }
  place.done("verify " + log + " --fraction 1" + place.data());

  // The certificate cdf was reserved: it is no exploration, and larger.
  const tests::Outcome cdf =
      place.run("recertify " + log + " --certificate cdf --output cdf --json");
  REQUIRE_MESSAGE(cdf.status == 0, cdf.errors);
  CHECK(cdf.errors.find("exploration") == std::string::npos);
  const json of_cdf = json::parse(cdf.output);
  CHECK(of_cdf["bound"] == "clopper-pearson");
  CHECK(of_cdf["mean_radius"] > 0.0);
  place.done("recertify cdf --certificate exact --output back");
  CHECK(text_of(place.folder / "back") == text);
  place.done("certify run --scores softmax --certificate cdf --images 0:3 --draws 40 --output now" +
             place.data());
  CHECK(read_certificate_log(place.folder / "now").header.statistics.histogram);
  const json page = json::parse(place.done("report run --output page.html --json"));
  CHECK(page["runs"][0]["others"][1]["certificate"] == "cdf");
  CHECK(page["runs"][0]["others"][1]["mean_radius"] == of_cdf["mean_radius"]);
  CHECK(text_of(place.folder / "page.html").find("<b>cdf</b> is of the distribution") !=
        std::string::npos);
  const json predicted = json::parse(place.done(
      "predict run test:0 --scores softmax --certificate cdf --draws 40 --json" + place.data()));
  CHECK(predicted["predictions"][0]["radius"] > 0.0);

  place.refused("recertify plain --certificate cdf --output x", "certify --histogram makes it", 1);
  place.refused("certify run --certificate cdf --output x" + place.data(), "--scores softmax", 2);
  place.refused("radius --counts 9,1 --certificate cdf", "--scores softmax", 2);
  place.refused("recertify " + log + " --scores softmax --certificate cdf --top 2 --output x",
                "top 2: there is no such certificate", 1);

  place.done("certify run --extend 20" + place.data());
  const CertificateLog more = read_certificate_log(place.folder / log);
  CHECK(more.records[5].statistics.draws == 60);
  CHECK(more.records[5].statistics.histogram[0] >= with.records[5].statistics.histogram[0]);
  place.done("verify " + log + " --fraction 1" + place.data());
}

}  // namespace
}  // namespace pixeldp::histogram_test
