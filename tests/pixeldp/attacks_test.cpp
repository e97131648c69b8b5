#include "pixeldp/attacks/attacks.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include <doctest/doctest.h>

#include "pixeldp/attacks/sandwich.hpp"
#include "pixeldp/attacks/sanity.hpp"
#include "tests/reference/values.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;

namespace {

constexpr PixelRange shifted{-0.5f};

std::vector<float> made_picture(std::uint64_t seed, std::size_t values = 64) {
  std::vector<float> picture = reference::reals(static_cast<std::int64_t>(values), seed);
  for (float& v : picture) v = std::clamp(v, shifted.lowest, shifted.highest());
  return picture;
}

CertificateRecord made_certificate(std::int64_t image, int prediction, double radius) {
  CertificateRecord record;
  record.image = image;
  record.label = record.prediction = prediction;
  record.radius = radius;
  return record;
}

void check_in_ball(AttackNorm norm, std::span<const float> centre, double size,
                   std::span<const float> x) {
  CHECK(distance(norm, centre, x) <= size);
  for (const float v : x) {
    CHECK(v >= shifted.lowest);
    CHECK(v <= shifted.highest());
  }
}

}  // namespace

TEST_CASE("distances, and the pictures that are farthest apart") {
  const std::vector<float> a = {0.0f, 0.5f, 1.0f, 0.0f}, b = {0.0f, 0.0f, 0.5f, 0.5f};
  CHECK(distance(AttackNorm::l1, a, b) == 1.5);
  CHECK(distance(AttackNorm::l2, a, b) == std::sqrt(0.75));
  CHECK(distance(AttackNorm::linf, a, b) == 0.5);
  CHECK(largest_distance(AttackNorm::l1, 784) == 784.0);
  CHECK(largest_distance(AttackNorm::l2, 784) == 28.0);
  CHECK(largest_distance(AttackNorm::linf, 784) == 1.0);
}

TEST_CASE("pixels are rounded to 8 bits, towards the image where the nearest is farther from it") {
  std::vector<float> centre, x;
  for (int u = 0; u < 256; ++u) centre.push_back(pixel_value(static_cast<std::uint8_t>(u), -0.5f));
  const std::vector<float> offsets = reference::reals(256, 9);
  for (std::size_t i = 0; i < 256; ++i)
    x.push_back(std::clamp(centre[i] + 0.02f * offsets[i], shifted.lowest, shifted.highest()));
  const std::vector<float> given = x;
  round_to_8_bits(centre, shifted, x);
  for (std::size_t i = 0; i < 256; ++i) {
    CHECK(std::ranges::count(centre, x[i]) == 1);
    CHECK(std::abs(x[i] - centre[i]) <= std::abs(given[i] - centre[i]));
    CHECK(std::abs(x[i] - given[i]) < 1.001f / 255);
  }
  CHECK(std::ranges::count_if(given, [&](float v) { return std::ranges::count(centre, v) > 0; }) <
        99);
  const std::vector<float> once = x;
  round_to_8_bits(centre, shifted, x);
  CHECK(x == once);
  x = centre;
  round_to_8_bits(centre, shifted, x);
  CHECK(x == centre);
}

TEST_CASE(
    "a projection ends within ball and pixels, leaves alone what is there, and goes no farther") {
  for (const AttackNorm norm : attack_norms) {
    for (const double size : {1e-4, 0.03, 0.5, 1.0}) {
      CAPTURE(name(norm));
      CAPTURE(size);
      const std::vector<float> centre = made_picture(1);
      std::vector<float> x = centre;
      const auto noise = reference::reals(64, 2);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += 3.0f * noise[i];
      project(norm, centre, size, shifted, x);
      check_in_ball(norm, centre, size, x);
      CHECK(distance(norm, centre, x) > 0.99 * size);
      const std::vector<float> before = x;
      project(norm, centre, size, shifted, x);
      CHECK(x == before);
    }
  }
}

TEST_CASE("a step has its length, and goes against the gradient") {
  const std::vector<float> gradient = {3.0f, -4.0f, 0.0f};
  const auto stepped = [&](AttackNorm norm) {
    std::vector<float> x(3, 0.0f);
    step_against(norm, gradient, 0.5, x);
    return x;
  };
  const auto near = [](const std::vector<float>& x, double a, double b) {
    return std::abs(x[0] - a) < 1e-6 && std::abs(x[1] - b) < 1e-6 && x[2] == 0.0f;
  };
  CHECK(near(stepped(AttackNorm::l1), -1.5 / 7, 2.0 / 7));
  CHECK(near(stepped(AttackNorm::l2), -0.3, 0.4));
  CHECK(near(stepped(AttackNorm::linf), -0.5, 0.5));
  std::vector<float> x(3, 0.25f);
  step_against(AttackNorm::l2, std::vector<float>(3, 0.0f), 0.5, x);
  CHECK(x == std::vector<float>(3, 0.25f));
}

TEST_CASE("random pictures fill the ball, and are the same for the same address") {
  const std::vector<float> centre(400, 0.0f);
  for (const AttackNorm norm : attack_norms) {
    CAPTURE(name(norm));
    std::vector<float> x(400), y(400);
    std::vector<double> mean(400, 0.0);
    for (std::uint32_t sample = 0; sample < 50; ++sample) {
      sample_ball(norm, centre, 0.4, shifted, 1, 9, sample, x);
      check_in_ball(norm, centre, 0.4, x);
      // In so many dimensions nearly all of a ball is near its border.
      CHECK(distance(norm, centre, x) > 0.97 * 0.4);
      for (std::size_t i = 0; i < x.size(); ++i) mean[i] += x[i] / 50.0;
      sample_ball(norm, centre, 0.4, shifted, 1, 9, sample, y);
      CHECK(x == y);
      sample_ball(norm, centre, 0.4, shifted, 1, 9, sample + 50, y);
      CHECK(x != y);
    }
    // No direction is preferred.
    double squares = 0.0, of_one = 0.0;
    for (const double m : mean) squares += m * m;
    for (const float v : x) of_one += double{v} * double{v};
    CHECK(squares < 2.0 * of_one / 50.0);
  }
}

TEST_CASE("attacks that make no sense are refused by name") {
  const Calibration noisy{.mechanism = Mechanism::gaussian,
                          .attack_norm = AttackNorm::l2,
                          .noise_scale = 0.25,
                          .sensitivity = 1.0};
  using Change = std::function<void(AttackOptions&)>;
  const auto refused = [&](AttackKind kind, AttackNorm norm, std::optional<double> size,
                           const Change& change, const std::string& text,
                           const Calibration& calibration) {
    AttackOptions o =
        usual_attack(kind, norm, size, std::nullopt, calibration.mechanism != Mechanism::none);
    change(o);
    CHECK_FAILS(check_attack(o, 784, 10, calibration, false), text.c_str());
  };
  const Change nothing = [](AttackOptions&) {};
  const auto pgd = [&](std::optional<double> size, const Change& change, const std::string& text) {
    refused(AttackKind::pgd, AttackNorm::l2, size, change, text, noisy);
  };
  CHECK_NOTHROW(check_attack(usual_attack(AttackKind::pgd, AttackNorm::l2, 28.0, {}, true), 784, 10,
                             noisy, false));
  CHECK_NOTHROW(check_attack(usual_attack(AttackKind::cw, AttackNorm::l2, {}, 0.3, true), 784, 10,
                             noisy, false));
  for (const double size : {0.0, -1.0, std::nan(""), 28.1, std::numeric_limits<double>::infinity()})
    pgd(size, nothing,
        "no two pictures of 784 values from 0 to 1 are farther apart than 28 in the norm 2");
  refused(AttackKind::fgsm, AttackNorm::linf, 1.5, nothing, "farther apart than 1 in the norm inf",
          noisy);
  pgd({}, nothing, "--size is missing");
  refused(AttackKind::cw, AttackNorm::linf, 0.3, nothing, "cw minimises the 2-norm", noisy);
  refused(
      AttackKind::random, AttackNorm::l2, 1.0, [](AttackOptions& o) { o.targeted = true; },
      "random pictures aim at nothing", noisy);
  pgd(
      1.0, [](AttackOptions& o) { o.warm_start = true; }, "--warm-start is for cw");
  for (const double rate : {0.0, -0.1, 1.1, std::nan("")})
    refused(
        AttackKind::cw, AttackNorm::l2, 1.0, [&](AttackOptions& o) { o.rate = rate; },
        "Adam's rate is above 0, and 1 at most", noisy);
  pgd(
      1.0, [](AttackOptions& o) { o.steps = 0; }, "--steps 0: pgd takes at least 1");
  pgd(
      1.0, [](AttackOptions& o) { o.restarts = -1; }, "--restarts -1: pgd takes at least 1");
  pgd(
      1.0, [](AttackOptions& o) { o.draws = 0; }, "--draws 0: pgd takes at least 1");
  pgd(
      1.0, [](AttackOptions& o) { o.judge_draws = 0; }, "--judge-draws 0: pgd takes at least 1");
  pgd(
      1.0, [](AttackOptions& o) { o.steps = 1 << 30; }, "numbered by 31 bits");
  pgd(
      1.0, [](AttackOptions& o) { o.certified = -0.1; }, "a radius is a finite number from 0 up");
  pgd(
      1.0, [](AttackOptions& o) { o.certified = 5.0; }, "200 draws certify 0.");
  refused(AttackKind::pgd, AttackNorm::l2, 1.0, [](AttackOptions& o) { o.draws = 10; },
          "the model has no noise: all its draws are the same", {});
  refused(AttackKind::pgd, AttackNorm::l2, 1.0, [](AttackOptions& o) { o.certified = 0.1; },
          "the model has no noise, and no prediction is certified", {});
}

TEST_CASE("usual attacks are the paper's") {
  const auto pgd = [](AttackNorm norm, double size) {
    return usual_attack(AttackKind::pgd, norm, size, {}, true);
  };
  CHECK(pgd(AttackNorm::l2, 0.5).steps == 100);
  CHECK(pgd(AttackNorm::l2, 0.5).restarts == 15);
  CHECK(pgd(AttackNorm::linf, 0.3).steps == 115);  // 1.5 * 76.5
  CHECK(pgd(AttackNorm::linf, 0.01).steps == 11);  // 2.55 + 8
  CHECK(pgd(AttackNorm::linf, 0.3).step == 0.003);
  const AttackOptions cw = usual_attack(AttackKind::cw, AttackNorm::l2, {}, {}, true);
  CHECK(cw.searches == 9);
  CHECK(cw.steps == 100);
  CHECK(cw.draws == 20);
  CHECK(cw.loss == DrawsLoss::hinge);
  CHECK(usual_attack(AttackKind::cw, AttackNorm::l2, {}, 0.1, true).loss == DrawsLoss::margin);
  CHECK(usual_attack(AttackKind::cw, AttackNorm::l2, {}, {}, false).draws == 1);
}

TEST_CASE("only votes that chance does not explain contradict a certificate") {
  const CertificateRecord certificate = made_certificate(3, 1, 0.5);
  AttackRecord record{.image = 3, .label = 1, .clean_votes = {2, 498, 0}};
  CHECK(!violates(record, certificate));
  record.distance = 0.5;
  record.votes = {251, 249, 0};  // a success, by a narrow margin
  CHECK(!violates(record, certificate));
  record.votes = {310, 190, 0};  // z = 5.4
  CHECK(violates(record, certificate));
  record.distance = 0.5000001;
  CHECK(!violates(record, certificate));
  record.distance = std::nullopt;
  record.clean_votes = {480, 20, 0};  // the image itself
  CHECK(violates(record, certificate));
  CHECK(!violates(record, made_certificate(3, 1, 0.0)));
  // Undecided between others.
  record.clean_votes = {0, 250, 250};
  CHECK(!violates(record, certificate));
}

TEST_CASE("a sandwich holds where chance explains what contradicts it") {
  CertificatesUnderAttack certificates;
  certificates.header.options.alpha = 0.001;
  std::vector<AttackRecord> records;
  for (std::int64_t i = 0; i < 1000; ++i) {
    certificates.records[i] = made_certificate(i, 0, 0.4);
    records.push_back({.image = i, .label = 0, .clean_votes = {500, 0}});
  }
  const std::vector<double> sizes = {0.0, 0.4, 0.5};
  const auto with_violations = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      records[i].distance = 0.3;
      records[i].votes = {0, 500};
    }
    return sandwich(certificates, records, sizes);
  };
  const Sandwich none = with_violations(0);
  CHECK(none.holds());
  CHECK(none.images == 1000);
  CHECK(none.tested == 1000);
  CHECK(none.points[1].certified_accuracy == 1.0);
  CHECK(none.points[2].certified_accuracy == 0.0);
  CHECK(none.points[1].ordered());
  // P(Bin(1000, .001) >= 4) = 0.019, >= 5: 0.0037.
  CHECK(none.explained == 4);
  CHECK(with_violations(4).holds());
  const Sandwich broken = with_violations(5);
  CHECK(!broken.holds());
  CHECK(broken.violations == std::vector<std::int64_t>{0, 1, 2, 3, 4});
  CHECK(!broken.points[1].ordered());
  CHECK_FAILS(sandwich({}, records, sizes), "none of the attacked images has a certificate");
}

TEST_CASE("the verdict on masked gradients") {
  // What is left of 100 images by each attack at each size.
  const auto verdict = [](const std::function<int(AttackKind, double)>& left) {
    AttackOptions options = usual_attack(AttackKind::pgd, AttackNorm::l2, 0.5, std::nullopt, true);
    return check_sanity(options, 784, true, [&](const AttackOptions& o) {
      std::vector<AttackRecord> records;
      for (int i = 0; i < 100; ++i) {
        AttackRecord record{.image = i, .label = 0, .clean_votes = {10, 0}};
        if (i >= left(o.kind, *o.size)) record.distance = 0.5 * *o.size;
        records.push_back(record);
      }
      return records;
    });
  };
  const auto pgd = [](double size) { return std::max(0, static_cast<int>(100 - 40 * size)); };
  const Sanity sound = verdict([&](AttackKind kind, double size) {
    return kind == AttackKind::pgd ? pgd(size) : kind == AttackKind::fgsm ? 60 : 98;
  });
  CHECK(sound.passed());
  CHECK(sound.accuracy == 1.0);
  CHECK(sound.compared_at == 2.0);
  CHECK(sound.pgd == doctest::Approx(0.2));
  CHECK(sound.points.size() == 4);  // 0.5, 1, 2, 4
  const Sanity masked = verdict([](AttackKind, double) { return 90; });
  CHECK(!masked.falls_to_zero());
  CHECK(masked.points.back().size == 28.0);
  CHECK(!masked.beats_random());
  CHECK(!masked.beats_one_step());
  const Sanity one_step = verdict([&](AttackKind kind, double size) {
    return kind == AttackKind::pgd ? pgd(size) : kind == AttackKind::fgsm ? 10 : 98;
  });
  CHECK(one_step.falls_to_zero());
  CHECK(!one_step.passed());
}
