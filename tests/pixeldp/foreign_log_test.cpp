#include "pixeldp/foreign_log.hpp"

#include <cstdio>

#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/normal.hpp>
#include <doctest/doctest.h>

#include "pixeldp/recertification.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

const std::string columns = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n";
const ForeignConditions smoothing{.noise_scale = 0.25, .alpha = 0.001, .draws = 100000};

/// As Cohen et al. compute and print it.
std::string printed_radius(std::uint64_t count, std::uint64_t draws, double alpha, double sigma) {
  const double n = static_cast<double>(draws), k = static_cast<double>(count);
  const double lower = quantile(boost::math::beta_distribution<>(k, n - k + 1), alpha);
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", sigma * quantile(boost::math::normal(), lower));
  return text;
}

}  // namespace

TEST_CASE("Logs of smoothing give the smallest counts that their radii can come from") {
  std::string text = columns;
  const std::vector<std::uint64_t> counts = {100000, 99998, 99000, 90000, 70000, 50600};
  for (std::size_t i = 0; i < counts.size(); ++i)
    text += fmt::format("{}\t3\t3\t{}\t1\t0:00:14.2\n", 20 * i,
                        printed_radius(counts[i], 100000, 0.001, 0.25));
  text += "200\t4\t-1\t0.0\t0\t0:00:14.2\n300\t0\t9\t0.1\t0\t0:00:14.2\n";
  REQUIRE(source_of(text) == CountSource::smoothing_log);
  CertificateLog log = parse_smoothing_log(text, "log", smoothing);
  REQUIRE(log.records.size() == counts.size() + 2);
  CHECK(log.header.standing() == Standing::unrecorded);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const ScoreStatistics& statistics = log.records[i].statistics;
    const std::uint64_t found = statistics.votes[3];
    CHECK(statistics.votes.size() == 10);
    CHECK(statistics.votes[0] == 100000 - found);
    CHECK(found <= counts[i]);
    const std::string printed = printed_radius(counts[i], 100000, 0.001, 0.25);
    CHECK(printed_radius(found, 100000, 0.001, 0.25) == printed);
    CHECK(printed_radius(found - 1, 100000, 0.001, 0.25) != printed);
  }
  CHECK(log.records[0].statistics.votes[3] == 100000);
  // An abstention proves nothing and is wrong; a wrong label is kept.
  const CertificateRecord &abstains = log.records[6], &wrong = log.records[7];
  CHECK(abstains.prediction != abstains.label);
  CHECK(wrong.label == 0);
  CHECK(wrong.prediction == 9);
  log = recertified(log, log.header.options);
  CHECK(log.records[6].radius == 0.0);
  CHECK(log.records[7].radius > 0.09);
  CHECK(log.records[0].radius > 0.9);
  CHECK(log.records[0].radius < 0.953);

  // It is written and read as what it is.
  const TemporaryFolder folder;
  write_certificate_log(folder / "log", log);
  const CertificateLog read = read_certificate_log(folder / "log");
  CHECK(read.header.difference(log.header) == "");
  CHECK(read.header.source == CountSource::smoothing_log);
  CHECK(read.records[7].statistics.votes == log.records[7].statistics.votes);
  CHECK_FAILS(CertificateLogWriter::resume(folder / "log", log.header), "(smoothing-log)");
}

TEST_CASE("Damaged logs of smoothing, and conditions that are not theirs, are refused by line") {
  const std::string good = columns + "0\t3\t3\t0.5\t1\t0:00:14\n20\t3\t-1\t0.0\t0\t0:00:14\n";
  CHECK_FALSE(parse_smoothing_log(good, "log", smoothing).cut_short);
  CHECK(parse_smoothing_log(good.substr(0, good.size() - 3), "log", smoothing).records.size() == 1);
  ForeignConditions other = smoothing;
  other.draws = 100;
  CHECK_FAILS(parse_smoothing_log(good, "log", other), "log:2: no number of votes among 100 draws");
  other = smoothing;
  other.noise_scale = 0.1;
  CHECK_FAILS(parse_smoothing_log(good, "log", other), "gives the radius 0.5 at sigma 0.1");
  other.noise_scale = 0;
  CHECK_FAILS(parse_smoothing_log(good, "log", other), "--sigma");
  other = smoothing;
  other.draws = 0;
  CHECK_FAILS(parse_smoothing_log(good, "log", other), "--draws");
  other = smoothing;
  other.mechanism = Mechanism::laplace;
  CHECK_FAILS(parse_smoothing_log(good, "log", other), "Gaussian");
  for (const auto& [line, part] : std::vector<std::pair<const char*, const char*>>{
           {"0\t3\t3\t0.5\t1", "log:2: 5 columns instead of 6"},
           {"0\t3\t3\t0.5\t1\tt\n0\t3\t3\t0.5\t1\tt", "log:3: image 0 is there already"},
           {"0\t3\t3\tx\t1\tt", "log:2: radius is 'x'"},
           {"0\t3\t3\tnan\t1\tt", "log:2: radius nan"},
           {"0\t3\t3\t-0.5\t1\tt", "log:2: radius -0.5"},
           {"0\t3\t3\t0.5\t0\tt", "log:2: correct is 0, with label 3 and prediction 3"},
           {"0\t3\t-1\t0.5\t0\tt", "log:2: an abstention with the radius 0.5"},
           {"0\t3\t-2\t0.5\t0\tt", "are not all from 0 up"},
           {"0\t3.0\t3\t0.5\t1\tt", "log:2: label is '3.0'"}})
    CHECK_FAILS(parse_smoothing_log(columns + line + "\n", "log", smoothing), part);
}

TEST_CASE("The original program's evaluations give votes, sensitivity and which labels are right") {
  const std::string good =
      R"({"argmax_sum": [[10.0, 490.0, 0.0], [200, 100, 200]], "softmax_sum": [[1.5, NaN, 2]],)"
      R"( "pred_truth_argmax": [true, 0], "robustness_from_argmax": [0.1, -Infinity],)"
      R"( "sensitivity_mult_used": 1.25})";
  REQUIRE(source_of(good) == CountSource::eval_data);
  const ForeignConditions conditions{.noise_scale = 0.7612};
  const CertificateLog log = parse_eval_data(good, "eval", conditions);
  REQUIRE(log.records.size() == 2);
  CHECK(log.header.draws == 500);
  CHECK(log.header.calibration.sensitivity == 1.25);
  CHECK(log.records[0].prediction == 1);
  CHECK(log.records[0].label == 1);
  CHECK(log.records[1].prediction == 0);
  CHECK(log.records[1].label == -1);
  CHECK(log.records[1].statistics.votes == std::vector<std::uint64_t>{200, 100, 200});
  CertificateOptions options = log.header.options;
  options.kind = CertificateKind::pixeldp_grid;
  const CertificateLog grid = recertified(log, options);
  CHECK(grid.records[0].radius > 0.1);
  CHECK(grid.records[0].radius < recertified(log, log.header.options).records[0].radius);
  options.scores = ScoreType::softmax, options.bound = Bound::hoeffding;
  CHECK_FAILS(recertified(log, options), "the log holds no softmax scores");

  const TemporaryFolder folder;
  write_certificate_log(folder / "log", grid);
  CHECK(read_certificate_log(folder / "log").records[1].label == -1);

  const auto refused = [&](const std::string& from, const std::string& to, const char* part) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    CHECK_FAILS(parse_eval_data(text, "eval", conditions), part);
  };
  refused("10.0", "10.5", "eval: argmax_sum of image 0 holds 10.5");
  refused("10.0", "\"x\"", "eval: argmax_sum of image 0 holds");
  refused("[200, 100, 200]", "[200, 300]", "of image 1 is no list of as many classes");
  refused("[200, 100, 200]", "[200, 100, 201]", "image 1: draws and selection_draws are 501");
  refused("[true, 0]", "[true]", "lists, of as many images");
  refused("[true, 0]", "[true, 2]", "pred_truth_argmax of image 1 is 2");
  refused("1.25", "0", "sensitivity_mult_used is 0");
  refused("\"sensitivity_mult_used\"", "\"sensitivity\"", "sensitivity_mult_used is missing");
  refused("]]", "]", "not JSON");
  CHECK_FAILS(parse_eval_data(good, "eval", {}), "--sigma");
}

}  // namespace pixeldp
