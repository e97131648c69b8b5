#include "pixeldp/regression/output_attack.hpp"

#include <cmath>

#include <omp.h>

#include "engine/philox.hpp"
#include "pixeldp/regression/output_sampler.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

constexpr std::int64_t attacked_side = 12;

Dataset images_to_attack(std::int64_t count) {
  Dataset set;
  set.name = "mnist-angle";
  set.split = "test";
  set.height = set.width = attacked_side, set.channels = 1, set.classes = 1;
  Bytes pixels;
  for (std::int64_t i = 0; i < count * attacked_side * attacked_side; ++i)
    pixels.push_back(static_cast<std::uint8_t>(
        64 + Philox::generate({static_cast<std::uint32_t>(i), 0, 0, 0}, 4)[0] % 128));
  set.images = images_in_memory(pixels, attacked_side * attacked_side, std::string(64, 'b'));
  for (std::int64_t i = 0; i < count; ++i) set.targets.push_back(static_cast<float>(i));
  return set;
}

/// What some draws of images leave.
std::vector<OutputStatistics> drawn_outputs(const Model& model, const Dataset& set,
                                            std::uint32_t draws) {
  std::vector<OutputStatistics> all;
  OutputSampler sampler({}, model.spec, model.network);
  sampler.run(
      set.size(), {.seed = 1, .count = draws},
      [&](std::int64_t i, float* pixels) {
        to_float(set, i, i + 1, pixels, 0.0f);
        return set.image_id(i);
      },
      [&](std::int64_t, const OutputStatistics& statistics) {
        all.push_back(statistics);
        return true;
      });
  return all;
}

/// A network with noise in the image, which moves its output by some eight degrees: many steps of
/// the range, and far from its ends.
Model model_to_attack() {
  layers::NetworkSpec spec{.height = attacked_side, .width = attacked_side, .classes = 1};
  spec.noise_after_layers = 0;
  spec.output = kernels::RealOutput{kernels::OutputKind::sigmoid, -50.0, 50.0};
  Model model;
  model.name = "made";
  model.dataset = "mnist-angle";
  model.spec = spec;
  model.network = layers::make_network(spec, 3);
  model.calibration = {.mechanism = Mechanism::gaussian, .noise_scale = 0.2, .sensitivity = 1.0};
  apply_calibration(model.calibration, model.network);
  const std::vector<layers::Parameter*> parameters = model.network.parameters();
  Tensor& weight = parameters[parameters.size() - 2]->value;
  Tensor& bias = parameters.back()->value;
  REQUIRE(bias.size() == 1);
  const auto drawn = [&] { return drawn_outputs(model, images_to_attack(1), 400)[0]; };
  const double u = (drawn().mean(*spec.output) + 50.0) / 100.0;
  bias.data()[0] -= static_cast<float>(std::log(u / (1.0 - u)));
  const OutputStatistics centred = drawn();
  const auto squares =
      static_cast<double>(centred.totals.positive_squares + centred.totals.negative_squares);
  const double spread = 50.0 * std::sqrt(squares * 0x1p-32 / 400.0);
  REQUIRE(spread > 1e-3);
  const auto factor = static_cast<float>(8.0 / spread);
  for (std::int64_t i = 0; i < weight.size(); ++i) weight.data()[i] *= factor;
  bias.data()[0] *= factor;
  return model;
}

std::vector<std::int64_t> numbers_below(std::int64_t count) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

/// The log of these images that certify would make, asked for intervals within a radius.
RegressionLog certified_images(const Model& model, const Dataset& set, double radius,
                               const OutputOptions& options, std::uint32_t draws) {
  RegressionLog log{.header = {.model_sha256 = std::string(64, 'a'),
                               .dataset = set.name,
                               .dataset_sha256 = set.sha256(),
                               .split = set.split,
                               .output = *model.spec.output,
                               .calibration = model.calibration,
                               .options = options,
                               .function = {"fp32", "fp32", "direct"},
                               .seed = 1,
                               .draws = draws,
                               .radius = radius,
                               .ledger = {options}}};
  for (const OutputStatistics& statistics : drawn_outputs(model, set, draws)) {
    const std::int64_t image = std::ssize(log.records);
    log.records.push_back(
        {.image = image, .label = static_cast<double>(image), .statistics = statistics});
    derive(log.header, log.records.back());
  }
  return log;
}

OutputCertificatesUnderAttack under_attack(const RegressionLog& log) {
  OutputCertificatesUnderAttack all{.sha256 = std::string(64, 'c'), .header = log.header};
  for (const RegressionRecord& record : log.records) all.records.emplace(record.image, record);
  return all;
}

AttackOptions few_steps(AttackKind kind, double size) {
  AttackOptions o = usual_output_attack(kind, AttackNorm::l2, size, true);
  if (kind == AttackKind::pgd) o.steps = 20, o.restarts = 1;
  if (kind == AttackKind::random) o.restarts = 5;
  o.judge_draws = 1000;
  return o;
}

std::vector<OutputAttackRecord> attacked_images(Model& model, const Dataset& set,
                                                const AttackOptions& options,
                                                std::span<const std::int64_t> images) {
  OutputAttack attack(model, options, {}, {});
  const std::vector<double> sizes(images.size(), *options.size);
  std::vector<OutputAttackRecord> records;
  for (AttackedOutput& attacked : attack.run(set, images, sizes))
    records.push_back(std::move(attacked.record));
  return records;
}

const std::vector<OutputOptions> attacked_options = {
    {Prediction::mean, CertificateKind::exact, Bound::betting, 0.05},
    {Prediction::median, CertificateKind::exact, Bound::clopper_pearson, 0.05}};

}  // namespace

TEST_CASE("attacks never leave the interval of a regression network, and show half a sensitivity") {
  Model model = model_to_attack();
  const Dataset set = images_to_attack(10);
  const double size = 2.0 * model.calibration.noise_scale;
  // So many that a probability that no draw has shown does not grow large under such an attack.
  constexpr std::uint32_t draws = 4000;
  AttackOptions attack = few_steps(AttackKind::pgd, size);
  attack.judge_draws = draws;
  const auto records = attacked_images(model, set, attack, numbers_below(10));
  const RegressionLog drawn = certified_images(model, set, size, attacked_options[0], draws);
  for (const OutputOptions& options : attacked_options) {
    CAPTURE(name(options.prediction));
    RegressionLog log = recertified(drawn, options, size, std::nullopt);
    const OutputSandwich honest = output_sandwich(under_attack(log), records);
    CHECK(honest.images == 10);
    CHECK(honest.violations.empty());
    CHECK(honest.holds());
    // What is proved is not far above what is found: this is a test of both.
    const OutputAttackFigures figures =
        output_attack_figures({.output = *model.spec.output}, records);
    MESSAGE(name(options.prediction)
            << ": moved by " << figures.mean_move << ", at most " << honest.mean_certified_move);
    CHECK(figures.mean_move > 0.5 * honest.mean_certified_move);

    log.header.calibration.sensitivity /= 2.0;
    for (RegressionRecord& record : log.records) derive(log.header, record);
    const OutputSandwich halved = output_sandwich(under_attack(log), records);
    CHECK(halved.violations.size() > halved.explained);
    CHECK_FALSE(halved.holds());
    MESSAGE(halved.violations.size() << " of 10 certificates of half the sensitivity are caught");
  }
}

TEST_CASE("a prediction is moved both ways, within the ball, and farther than by chance") {
  Model model = model_to_attack();
  const Dataset set = images_to_attack(4);
  const kernels::RealOutput& output = *model.spec.output;
  const auto images = numbers_below(4);
  for (const AttackNorm norm : attack_norms) {
    CAPTURE(name(norm));
    const double size = norm == AttackNorm::l1 ? 3.0 : norm == AttackNorm::l2 ? 0.4 : 0.05;
    const auto moved = [&](AttackKind kind) {
      AttackOptions options = few_steps(kind, size);
      options.norm = norm;
      const auto records = attacked_images(model, set, options, images);
      for (const OutputAttackRecord& record : records) {
        for (const JudgedPicture* picture : {&record.clean, &record.up, &record.down}) {
          CHECK(picture->distance <= size);
          CHECK(picture->statistics.draws == 1000);
        }
        CHECK(record.clean.distance == 0.0);
        if (kind != AttackKind::random) {
          CHECK(record.up.statistics.mean(output) > record.clean.statistics.mean(output));
          CHECK(record.down.statistics.mean(output) < record.clean.statistics.mean(output));
        }
      }
      return output_attack_figures({.output = output}, records).mean_move;
    };
    const double pgd = moved(AttackKind::pgd);
    CHECK(pgd > 3.0 * moved(AttackKind::random));
    CHECK(pgd > 0.95 * moved(AttackKind::fgsm));
  }
}

TEST_CASE("what an attack finds depends on no other image and no thread") {
  Model model = model_to_attack();
  const Dataset set = images_to_attack(5);
  AttackOptions options = few_steps(AttackKind::pgd, 0.3);
  options.steps = 4, options.restarts = 2;
  const auto means = [&](const std::vector<OutputAttackRecord>& records) {
    std::vector<kernels::OutputTotals> all;
    for (const OutputAttackRecord& record : records)
      for (const JudgedPicture* picture : {&record.clean, &record.up, &record.down})
        all.push_back(picture->statistics.totals);
    return all;
  };
  const auto whole = means(attacked_images(model, set, options, numbers_below(5)));
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  for (std::int64_t image = 0; image < 5; ++image) {
    const std::vector<std::int64_t> one = {image};
    const auto alone = means(attacked_images(model, set, options, one));
    for (std::size_t k = 0; k < 3; ++k)
      CHECK(alone[k] == whole[3 * static_cast<std::size_t>(image) + k]);
  }
  omp_set_num_threads(threads);
}

TEST_CASE("attacks on a regression network are logged, go on, and save what contradicts") {
  const TemporaryFolder folder;
  Model model = model_to_attack();
  const Dataset set = images_to_attack(6);
  RegressionLog log = certified_images(model, set, 0.6, attacked_options[0], 1000);
  OutputAttackHeader header{.model_sha256 = std::string(64, 'a'),
                            .dataset = set.name,
                            .dataset_sha256 = set.sha256(),
                            .split = set.split,
                            .output = *model.spec.output,
                            .calibration = model.calibration,
                            .function = log.header.function,
                            .options = few_steps(AttackKind::pgd, 0.6)};
  header.options.size.reset();  // the log's
  const auto attacked = [&](const std::filesystem::path& path, std::vector<std::int64_t> images,
                            bool resume, const OutputCertificatesUnderAttack& certificates) {
    return attack_outputs(model, set, header, {},
                          {.images = std::move(images),
                           .batch = 2,
                           .resume = resume,
                           .certificates = &certificates,
                           .violations = folder / "violations"},
                          path);
  };
  const OutputCertificatesUnderAttack honest = under_attack(log);
  const auto path = folder / "attacks.jsonl";
  attacked(path, numbers_below(6), false, honest);
  const std::string whole = tests::text_of(path);
  CHECK(std::ranges::count(whole, '\n') == 7);
  CHECK_FALSE(std::filesystem::exists(folder / "violations"));
  CHECK_FAILS(attacked(path, numbers_below(6), false, honest), "--resume");
  // Cut within a line, and filled up.
  write_file_atomically(path, whole.substr(0, whole.find("\"image\":3") + 40));
  const OutputAttackSummary summary = attacked(path, numbers_below(6), true, honest);
  CHECK(tests::text_of(path) == whole);
  REQUIRE(summary.records.size() == 6);
  CHECK(summary.records[5].size == 0.6);
  CHECK(output_sandwich(honest, summary.records).holds());
  write_file_atomically(path, whole + "{\"image\":9}\n");
  CHECK_FAILS(attacked(path, numbers_below(6), true, honest),
              "attacks.jsonl:8: not a line of an attack log");
  std::string changed = whole;
  changed.replace(changed.find("\"image\":0") + 8, 1, "0.5");
  write_file_atomically(path, changed);
  CHECK_FAILS(attacked(path, numbers_below(6), true, honest), "would write it otherwise");
  header.options.seed = 5;
  write_file_atomically(path, whole);
  CHECK_FAILS(attacked(path, numbers_below(6), true, honest), "seed: 1 and 5");

  log.header.calibration.sensitivity /= 2.0;
  for (RegressionRecord& record : log.records) derive(log.header, record);
  const OutputCertificatesUnderAttack halved = under_attack(log);
  header.options.seed = 1;
  const auto caught =
      output_sandwich(halved, attacked(folder / "b", numbers_below(6), false, halved).records);
  REQUIRE_FALSE(caught.violations.empty());
  for (const std::int64_t image : caught.violations) {
    CHECK(std::filesystem::exists(folder / "violations" / fmt::format("{}.png", image)));
    CHECK(std::filesystem::exists(folder / "violations" / fmt::format("{}.json", image)));
  }
}

TEST_CASE("attacks on regression networks that make no sense are refused by name") {
  const Calibration noisy{
      .mechanism = Mechanism::gaussian, .noise_scale = 0.25, .sensitivity = 1.0};
  const auto refused = [&](AttackKind kind, std::optional<double> size, std::int64_t restarts,
                           const char* part) {
    AttackOptions o = usual_output_attack(kind, AttackNorm::l2, size, true);
    if (restarts > 0) o.restarts = restarts;
    CHECK_FAILS(check_output_attack(o, 784, noisy, false), part);
  };
  CHECK_NOTHROW(check_output_attack(usual_output_attack(AttackKind::pgd, AttackNorm::l2, 1.0, true),
                                    784, noisy, false));
  refused(AttackKind::cw, 1.0, 0, "a regression network has no labels: take pgd, fgsm or random");
  refused(AttackKind::pgd, {}, 0, "--size is missing");
  refused(AttackKind::pgd, 30.0, 0, "farther apart than 28");
  // 2^31 draws would do for one direction.
  refused(AttackKind::pgd, 1.0, 2'000'000, "numbered by 31 bits");
}
