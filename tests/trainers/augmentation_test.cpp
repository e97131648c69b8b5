#include "trainers/augmentation.hpp"

#include <array>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tests/made_dataset.hpp"
#include "trainers/batch_source.hpp"

using namespace pixeldp;

namespace {

/// Every byte tells its image, row, column and channel apart; none is black.
Dataset made_set(std::int64_t images, std::int64_t height = 4, std::int64_t width = 5) {
  Dataset set;
  set.name = "made", set.split = "train";
  set.height = height;
  set.width = width;
  set.channels = 3;
  set.classes = 10;
  Bytes pixels;
  for (std::int64_t i = 0; i < images * set.image_size(); ++i)
    pixels.push_back(static_cast<std::uint8_t>(1 + i % 255));
  set.images = images_in_memory(std::move(pixels), set.image_size(), "");
  for (std::int32_t i = 0; i < images; ++i) set.labels.push_back(i % 10);
  return set;
}

std::vector<float> placed(const Dataset& set, const Placement& placement, float shift = 0.0f) {
  std::vector<float> out(static_cast<std::size_t>(set.image_size()), -9.0f);
  to_float(set, 1, placement, out.data(), shift);
  return out;
}

bool same(const Placement& a, const Placement& b) {
  return a.down == b.down && a.right == b.right && a.mirrored == b.mirrored;
}

}  // namespace

TEST_CASE("each pixel moves to its place, and what comes from outside is black") {
  const Dataset set = made_set(2);
  const Bytes pixels = tests::all_pixels(set);
  std::vector<float> plain(static_cast<std::size_t>(set.image_size()));
  to_float(set, 1, 2, plain.data(), -0.5f);
  CHECK(placed(set, {}, -0.5f) == plain);

  for (const std::int64_t down : {-3, -1, 0, 2})
    for (const std::int64_t right : {-4, 0, 1, 4})
      for (const bool mirrored : {false, true}) {
        CAPTURE(down);
        CAPTURE(right);
        CAPTURE(mirrored);
        // Framed by hand, cut out, and only then mirrored.
        constexpr std::int64_t frame = 4, height = 4, width = 5;
        std::vector<std::uint8_t> framed((height + 2 * frame) * (width + 2 * frame) * 3);
        for (std::int64_t i = 0; i < set.image_size(); ++i) {
          const std::int64_t row = i / 15, column = i / 3 % 5, c = i % 3;
          framed[static_cast<std::size_t>(
              ((row + frame) * (width + 2 * frame) + column + frame) * 3 + c)] =
              pixels[static_cast<std::size_t>(60 + i)];
        }
        std::vector<float> expected;
        for (std::int64_t row = 0; row < height; ++row)
          for (std::int64_t column = 0; column < width; ++column)
            for (std::int64_t c = 0; c < 3; ++c) {
              const std::int64_t from = mirrored ? width - 1 - column : column;
              expected.push_back(
                  static_cast<float>(framed[static_cast<std::size_t>(
                      ((row + down + frame) * (width + 2 * frame) + from + right + frame) * 3 +
                      c)]) /
                  255.0f);
            }
        CHECK(placed(set, {.down = down, .right = right, .mirrored = mirrored}) == expected);
      }
  // Black is the byte 0 before the shift.
  CHECK(placed(set, {.down = -3}, -0.5f).front() == -0.5f);
}

TEST_CASE("every placement is as likely as any other") {
  const Augmentation augmentation{.pad = 4, .mirror = true};
  constexpr int images = 500, epochs = 81;
  std::array<std::array<int, 9>, 9> places{};
  std::array<int, 81> of_one_image{};
  int mirrored = 0, mirrored_and_up = 0;
  for (std::uint32_t image = 0; image < images; ++image)
    for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) {
      const Placement p = random_placement(augmentation, 7, image, epoch);
      REQUIRE(std::abs(p.down) <= 4);
      REQUIRE(std::abs(p.right) <= 4);
      ++places[static_cast<std::size_t>(p.down + 4)][static_cast<std::size_t>(p.right + 4)];
      mirrored += p.mirrored;
      mirrored_and_up += p.mirrored && p.down < 0;
      if (image == 0) ++of_one_image[static_cast<std::size_t>((p.down + 4) * 9 + p.right + 4)];
    }
  // 500 a place, standard deviation 22; 20250 mirrored, standard deviation 101; a mirrored one
  // upwards is 4/9 of these.
  for (const auto& row : places)
    for (const int count : row) CHECK(std::abs(count - images) < 110);
  CHECK(std::abs(mirrored - images * epochs / 2) < 505);
  CHECK(std::abs(mirrored_and_up - 9000) < 420);
  // Epochs vary one image, and not in turn.
  int seen = 0;
  for (const int count : of_one_image) seen += count > 0;
  CHECK(seen > 35);
  CHECK(seen < 75);
}

TEST_CASE("a placement depends on seed, image and epoch, and on nothing else") {
  const Augmentation both{.pad = 4, .mirror = true};
  int same_as_other_seed = 0, same_as_other_image = 0, same_as_other_epoch = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const Placement p = random_placement(both, 1, i, 5);
    CHECK(same(p, random_placement(both, 1, i, 5)));
    same_as_other_seed += same(p, random_placement(both, 2, i, 5));
    same_as_other_image += same(p, random_placement(both, 1, i + 100, 5));
    same_as_other_epoch += same(p, random_placement(both, 1, i, 6));
    CHECK(!random_placement({.pad = 4, .mirror = false}, 1, i, 5).mirrored);
    CHECK(random_placement({.pad = 0, .mirror = true}, 1, i, 5).down == 0);
  }
  CHECK(same_as_other_seed < 10);
  CHECK(same_as_other_image < 10);
  CHECK(same_as_other_epoch < 10);
}

TEST_CASE("an image of an epoch is the same whatever the batch, and wherever training began") {
  const Dataset set = made_set(10);
  const BatchSource::Options options{
      .batch = 4, .seed = 3, .pixel_shift = -0.5f, .augmentation = {.pad = 2, .mirror = true}};
  BatchSource fours(set, options);
  BatchSource::Options by_six = options;
  by_six.batch = 6;
  BatchSource sixes(set, by_six);

  std::vector<float> a, b;
  std::vector<std::int32_t> labels_a, labels_b;
  const auto collect = [&](BatchSource& source, int steps, auto& pixels, auto& labels) {
    TrainingBatch batch;
    for (std::int64_t step = 0; step < steps; ++step) {
      source.prepare(step, batch);
      const auto values = batch.images.values();
      pixels.insert(pixels.end(), values.begin(), values.end());
      labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
      std::vector<float> image(static_cast<std::size_t>(set.image_size()));
      for (std::size_t i = 0; i < batch.rows.size(); ++i) {
        const std::int64_t position =
            step * static_cast<std::int64_t>(batch.rows.size()) + static_cast<std::int64_t>(i);
        CHECK(batch.rows[i].draw == position / set.size());  // the epoch
        if (&source != &fours) continue;
        to_float(set, batch.rows[i].image & 0x7fffffff,
                 random_placement(options.augmentation, 3, batch.rows[i].image, batch.rows[i].draw),
                 image.data(), -0.5f);
        CHECK(std::equal(image.begin(), image.end(), batch.images.row(static_cast<int>(i))));
      }
      for (std::size_t i = 0; i < batch.rows.size(); ++i) {
        CHECK(batch.rows[i].source == static_cast<std::int64_t>(i));
        CHECK(batch.labels[i] == static_cast<int>(batch.rows[i].image & 0x7fffffff) % 10);
      }
    }
  };
  collect(fours, 9, a, labels_a);
  collect(sixes, 6, b, labels_b);
  CHECK(a == b);
  CHECK(labels_a == labels_b);

  TrainingBatch later;
  BatchSource(set, options).prepare(7, later);
  const auto values = later.images.values();
  CHECK(std::equal(values.begin(), values.end(), a.begin() + 7 * 4 * 60));
  // Augmentation does something, and differently in the next epoch.
  BatchSource::Options plain = options;
  plain.augmentation = {};
  std::vector<float> c;
  std::vector<std::int32_t> labels_c;
  BatchSource unvaried(set, plain);
  collect(unvaried, 9, c, labels_c);
  CHECK(labels_c == labels_a);
  CHECK(c != a);
}
