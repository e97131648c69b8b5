#include "pixeldp/report/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include "engine/error.hpp"
#include "engine/io/image.hpp"
#include "pixeldp/conditions.hpp"
#include "pixeldp/metrics.hpp"
#include "pixeldp/report/figures.hpp"
#include "pixeldp/report/tables.hpp"
#include "pixeldp/special_functions.hpp"
#include "tests/pixeldp/made_page.hpp"
#include "tests/temporary_folder.hpp"

namespace pixeldp::report {
namespace {

namespace fs = std::filesystem;

}  // namespace

TEST_CASE("training.csv is read by column names, with gaps") {
  const Training training = parse_training(
      "seconds,test_accuracy,step,loss\r\n1,,10,2.5\r\n2,0.5,20,nan\r\n\r\n3,0.625,30\r\n4,0.7,40,"
      "1",
      "t");
  REQUIRE(training.step == std::vector<double>{10, 20, 30});
  CHECK(std::isnan(training.test_accuracy[0]));
  CHECK(training.test_accuracy[2] == 0.625);
  CHECK(training.loss[0] == 2.5);
  CHECK(std::isnan(training.loss[1]));
  CHECK(std::isnan(training.loss[2]));
  REQUIRE(training.train_accuracy.size() == 3);
  CHECK(std::isnan(training.train_accuracy[1]));

  CHECK(parse_training("loss\n3\n2\n", "t").step == std::vector<double>{1, 2});
  CHECK(parse_training("", "t").step.empty());
  CHECK_THROWS_WITH(parse_training("step,loss\n1,2\n2,x\n", "t"),
                    "t:3: 'x' in column 2 is not a number");
  CHECK_THROWS_AS(parse_training("step,loss\n1,2,3\n", "t"), Error);
}

TEST_CASE("Runs are read from folders, and what is missing is named") {
  TemporaryFolder folder;
  tests::write_made_run(folder / "a" / "run", {.images = 5});
  tests::write_made_run(folder / "b" / "run", {.images = 5});
  tests::write_made_run(folder / "other", {.images = 5});
  fs::remove(folder / "other" / "training.csv");
  fs::remove(folder / "other" / "config.yaml");
  const std::vector<Run> runs =
      load_runs({folder / "a" / "run", folder / "b" / "run", folder / "other" / ""});
  CHECK(runs[0].name == (folder / "a" / "run").string());
  CHECK(runs[1].name == (folder / "b" / "run").string());
  CHECK(runs[2].name == "other");
  CHECK(runs[0].training->step.size() == 80);
  CHECK(contains(*runs[0].config, "mnist-cnn"));
  CHECK_FALSE(runs[2].training.has_value());
  CHECK_FALSE(runs[2].config.has_value());

  CHECK_THROWS_AS(load_runs({folder / "other", folder / "other" / "."}), Error);
  CHECK_THROWS_AS(load_run(folder / "missing"), Error);
  CHECK_THROWS_AS(load_run(folder / "a"), Error);
  const fs::path log = folder / "other" / "certificates.jsonl";
  std::string header;
  std::getline(std::ifstream(log), header);
  std::ofstream(log) << header << "\n";
  CHECK_THROWS_AS(load_run(folder / "other"), Error);  // a header and no image
  std::ofstream(log).close();
  CHECK_THROWS_AS(load_run(folder / "other"), Error);
}

TEST_CASE("A histogram counts every image once, in the right place") {
  Run run = made("run", {.images = 8});
  const double radii[] = {0, 0, 0.05, 0.1, 0.1000001, 0.25, 0.3, 0.3};
  for (std::size_t i = 0; i < 8; ++i) {
    CertificateRecord& record = run.log.records[i];
    record.radius = radii[i];
    record.prediction = i % 2 == 0 ? record.label : record.label + 1;
  }
  const Bins bins = common_bins({run});
  CHECK(bins.width * static_cast<double>(bins.count) >= 0.3 * (1 - 1e-9));
  const Histogram shares = histogram(run, 0.1, 3);
  CHECK(shares.none.correct == 1 / 8.0);
  CHECK(shares.none.wrong == 1 / 8.0);
  CHECK(shares.bins[0].correct == 1 / 8.0);
  CHECK(shares.bins[0].wrong == 1 / 8.0);  // 0.1 belongs to the bin that ends there
  CHECK(shares.bins[1].correct == 1 / 8.0);
  CHECK(shares.bins[1].wrong == 0.0);
  CHECK(shares.bins[2].correct == 1 / 8.0);
  CHECK(shares.bins[2].wrong == 2 / 8.0);
}

TEST_CASE("The page is whole, needs nothing else and repeats itself") {
  std::vector<Run> runs = {
      made("baseline", {.mechanism = Mechanism::none, .skill = 4}),
      made("<script>alert('&')</script>", {.skill = 3, .seed = 2}),
      made("exact", {.kind = CertificateKind::exact, .construction_bound = 0.3, .seed = 3})};
  runs[1].config = "key: \"</pre><b>&amp;\"\n";
  runs[1].training = parse_training("step,loss,train_accuracy\n1,2.5,0.1\n2,2.0,0.2\n", "t");
  runs[2].log.header.dataset = runs[1].log.header.dataset = runs[0].log.header.dataset = "a<b";
  const std::string page = report_page(runs);
  CHECK(markup_fault(page) == "");
  CHECK(page == report_page(runs));
  CHECK_FALSE(contains(page, "<script"));
  CHECK_FALSE(contains(page, "<pre>key: \"</pre>"));
  CHECK(contains(page, "key: &quot;&lt;/pre&gt;&lt;b&gt;&amp;amp;&quot;"));
  CHECK(contains(page, "a&lt;b, test split"));
  for (const std::string_view outside :
       {"http:", "https:", "src=\"/", "src=\"f", "href", "url(", "@import", "<link"}) {
    CAPTURE(outside);
    CHECK_FALSE(contains(page, outside));
  }
  for (const std::string_view wrong : {"nan", "inf<", "inf\"", "-0%", "M-"}) {
    CAPTURE(wrong);
    CHECK_FALSE(contains(page, wrong));
  }
  CHECK(contains(page, runs[1].log.header.model_sha256));
  CHECK(contains(page, fmt::format("{:.1f}%", 100 * certified_accuracy(runs[2].log.records, 0.3))));
  CHECK(contains(page, "<h2>Training</h2>"));
  CHECK_FALSE(contains(page, "class=\"note\""));

  CHECK(markup_fault("<a><b></a></b>") != "");
  CHECK(markup_fault("<a>&</a>") != "");
}

TEST_CASE("The page says where runs cannot be compared") {
  const Run first = made("first", {});
  CHECK(contains(report_page({first, made("b", {.dataset = "mnist"})}), "on different data"));
  CHECK(contains(report_page({first, made("b", {.images = 100})}), "on different images"));
  CHECK(contains(report_page({first, made("b", {.mechanism = Mechanism::laplace})}),
                 "in different norms"));
}

TEST_CASE("Noise that was made for no attack size is summed up at half of its scale") {
  Run run = made("smoothed", {.kind = CertificateKind::exact});
  Calibration& calibration = run.log.header.calibration;
  calibration.construction.reset();
  run.log.header.noise_at_certification = true;
  const double attack = typical_attack(run);
  CHECK(attack == calibration.noise_scale / 2);
  const std::string page = report_page({run});
  CHECK(markup_fault(page) == "");
  CHECK(contains(page, fmt::format("up to {:.6g}, half of its noise scale", attack)));
  CHECK(contains(page, fmt::format("Certified at T = {:.6g}", attack)));
  CHECK(contains(page, "Construction bound L</th><td>–</td>"));
  CHECK(contains(page, "ε, δ of the construction</th><td>–</td>"));
  CHECK(contains(page, "gaussian, given at certification"));
  CHECK(typical_attack(made("own", {})) == 0.1);
}

TEST_CASE("Odd runs have a page as well") {
  CHECK(markup_fault(report_page({made("none", {.mechanism = Mechanism::none})})) == "");
  CHECK(markup_fault(report_page({made("one image", {.images = 1})})) == "");
  CHECK(markup_fault(report_page({made("wide", {.images = 5, .classes = 1000})})) == "");
  CHECK(markup_fault(report_page({made("weak", {.skill = 0.0, .images = 5, .draws = 20})})) == "");
  Run lost = made("lost", {.images = 3});
  for (CertificateRecord& record : lost.log.records) record.radius = 0;
  lost.others.clear();
  lost.training = parse_training("step,loss\n", "t");
  const std::string page = report_page({lost});
  CHECK(markup_fault(page) == "");
  CHECK_FALSE(contains(page, "<h2>Training</h2>"));
  CHECK_FALSE(contains(page, "<h2>One image"));
  std::vector<Run> many;
  for (unsigned i = 0; i < 15; ++i) many.push_back(made(std::to_string(i), {.seed = i}));
  CHECK(markup_fault(report_page(many)) == "");
}

TEST_CASE("The image of the third figure can be chosen") {
  const Run run = made("run", {.images = 30});
  CHECK(contains(report_page({run}, 17), ": image 17,"));
  CHECK_THROWS_AS(report_page({run}, 30), Error);
}

TEST_CASE("The CSV holds the curve of the metrics") {
  Run run = made("a, \"b\"", {.images = 200});
  for (std::size_t i = 0; i < 20; ++i) run.log.records[i].radius = 0.05;  // ties
  const Run sure = made("sure", {.skill = 30, .images = 10});             // no radius of 0
  std::istringstream lines(report_csv({run, sure}));
  std::string line;
  std::getline(lines, line);
  CHECK(line ==
        "run,certificate,bound,alpha,draws,threshold,images,accuracy,certified_accuracy,"
        "certified_fraction,precision");
  double last = -1.0;
  int rows = 0;
  // The curves in their order, with what their lines start with.
  const std::pair<std::string, const CertificateLog*> curves[] = {
      {"\"a, \"\"b\"\"\",exact,clopper-pearson,0.05,300,", &run.others[0]},
      {"\"a, \"\"b\"\"\",pixeldp,clopper-pearson,0.05,300,", &run.log},
      {"sure,exact,clopper-pearson,0.05,300,", &sure.others[0]},
      {"sure,pixeldp,clopper-pearson,0.05,300,", &sure.log}};
  std::size_t at = 0;
  while (std::getline(lines, line)) {
    ++rows;
    if (!line.starts_with(curves[at].first)) {
      REQUIRE(++at < std::size(curves));
      REQUIRE(line.starts_with(curves[at].first));
      last = -1.0;
    }
    const auto& records = curves[at].second->records;
    const char* cell = line.c_str() + curves[at].first.size();
    std::vector<double> values;
    for (char* end = nullptr; *cell != '\0'; cell = *end == ',' ? end + 1 : end) {
      values.push_back(std::strtod(cell, &end));
    }
    REQUIRE(values.size() == 6);
    CHECK(values[0] > last);
    if (last < 0) CHECK(values[0] == 0.0);
    last = values[0];
    CHECK(values[1] == static_cast<double>(records.size()));
    CHECK(values[2] == accuracy(records));
    CHECK(values[3] == certified_accuracy(records, values[0]));
    CHECK(values[4] == certified_fraction(records, values[0]));
    CHECK(values[5] == certified_precision(records, values[0]));
  }
  CHECK(at == 3);
  CHECK(rows > 120);

  // Nothing certified: one line whose precision is empty.
  Run lost = made("lost", {.images = 4});
  for (CertificateRecord& record : lost.log.records) record.radius = 0;
  lost.others.clear();
  const std::string csv = report_csv({lost});
  CHECK(csv.substr(csv.find('\n') + 1).starts_with("lost,pixeldp,clopper-pearson,0.05,300,0,4,"));
  CHECK(csv.ends_with(",0,0,\n"));
}

TEST_CASE(
    "Curves of both certificates stand on the page, with their conditions and where they end") {
  const Run run = made("run", {.kind = CertificateKind::exact, .skill = 4, .images = 100});
  REQUIRE(run.others.size() == 1);
  CHECK(all_certificates(run)[0] == &run.log);
  const std::string page = report_page({run}, std::nullopt, "a b.csv");
  CHECK(markup_fault(page) == "");
  CHECK(contains(page, "300 draws, clopper-pearson bounds of argmax scores, alpha = 0.05 per"));
  CHECK(contains(page, "class=\"line s0 paper\""));
  // All 300 draws agreeing: lower bound (0.05 / 20)^(1/300), upper bound what is left of it.
  const double lower = std::pow(0.05 / 20, 1.0 / 300);
  const double size = normal_quantile_lower(lower);  // of lower and of 1 - lower, halved
  const double most = size * run.log.header.calibration.noise_scale;
  CHECK(contains(page, rounded(most, true, 4) + " by exact, "));
  CHECK(contains(page, "<a href=\"a%20b.csv\">a b.csv</a>"));
  CHECK_FALSE(contains(report_page({run}), "<a "));
  const auto share = certified_accuracy(run.log.records, 0.1);
  CHECK(contains(page,
                 fmt::format("{:.1f}% <small>{}</small>", 100 * share, interval_text(share, 100))));
  // Without noise there is no curve and no certificate to name.
  const Run none = made("none", {.mechanism = Mechanism::none});
  CHECK(none.others.empty());
  CHECK_FALSE(contains(report_page({none}), "certificate exact"));
  // The original's grid is a third.
  CHECK(made("grid", {.kind = CertificateKind::pixeldp_grid}).others.size() == 2);
}

TEST_CASE("The image is shown with the names of its labels, where its pixels are those certified") {
  Run run = made("run", {.kind = CertificateKind::exact, .images = 3});
  auto set = std::make_shared<Dataset>();
  set->name = "fashion-mnist";
  set->split = "test";
  set->height = 2, set->width = 3, set->channels = 1;
  set->classes = 10;
  Bytes pixels(18);
  for (std::size_t i = 0; i < 18; ++i) pixels[i] = static_cast<std::uint8_t>(14 * i);
  set->images = images_in_memory(pixels, 6, "");
  set->labels = {0, 7, 4};
  CHECK_FALSE(contains(report_page({run}, 1), "<img"));
  run.images = set;
  const std::string page = report_page({run}, 1);
  CHECK(markup_fault(page) == "");
  CHECK(contains(page, "alt=\"Image 1 of fashion-mnist, label 7 (Sneaker)\""));
  CHECK(contains(page, "Ankle boot"));
  const std::string start = "src=\"data:image/png;base64,";
  const std::size_t at = page.find(start);
  REQUIRE(at != std::string::npos);
  const std::string base64 =
      page.substr(at + start.size(), page.find('"', at + start.size()) - at - start.size());
  Bytes file(base64.size() / 4 * 3);
  REQUIRE(EVP_DecodeBlock(file.data(), reinterpret_cast<const unsigned char*>(base64.data()),
                          static_cast<int>(base64.size())) == std::ssize(file));
  while (base64.ends_with("=") && file.back() == 0) file.pop_back();
  const Image image = parse_png(file, 1, "picture");
  CHECK(image.width == 3);
  CHECK(image.height == 2);
  CHECK(image.pixels == Bytes(pixels.begin() + 6, pixels.begin() + 12));
}

}  // namespace pixeldp::report
