#include "engine/io/rotated_digits.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include "tests/made_mnist.hpp"

using namespace pixeldp;

TEST_CASE("a picture is turned counterclockwise about its middle") {
  // 5x5, one bright pixel right of the middle; a quarter turn puts it above.
  Bytes picture(25, 0);
  picture[2 * 5 + 4] = 200;
  const auto bright = [](const Bytes& pixels) {
    return std::ranges::max_element(pixels) - pixels.begin();
  };
  CHECK(rotated(picture, 5, 5, 0.0) == picture);
  CHECK(bright(rotated(picture, 5, 5, 90.0)) == 0 * 5 + 2);
  CHECK(bright(rotated(picture, 5, 5, -90.0)) == 4 * 5 + 2);
  CHECK(bright(rotated(picture, 5, 5, 180.0)) == 2 * 5 + 0);
  const Bytes half = rotated(picture, 5, 5, 45.0);  // between pixels
  CHECK(*std::ranges::max_element(half) < 200);
  CHECK(half[1 * 5 + 3] > 0);
}

TEST_CASE("angles are spread evenly, and are a picture's own") {
  double sum = 0.0, squares = 0.0;
  constexpr std::uint32_t count = 20000;
  for (std::uint32_t image = 0; image < count; ++image) {
    const double angle = angle_of(image);
    CHECK(std::abs(angle) <= largest_angle);
    sum += angle, squares += angle * angle;
  }
  CHECK(std::abs(sum / count) < 1.0);
  CHECK(std::sqrt(squares / count) ==
        doctest::Approx(largest_angle / std::sqrt(3.0)).epsilon(0.02));
  CHECK(angle_of(17) == angle_of(17));
  CHECK(angle_of(17) != angle_of(17 | std::uint32_t{1} << 31));  // of the other split
}

TEST_CASE("mnist-angle is mnist with angles for labels") {
  const TemporaryFolder folder;
  tests::write_made_mnist(folder.path(), 20, 10);
  const Dataset plain = load_dataset("mnist", "test", folder.path());
  const Dataset turned = load_dataset("mnist-angle", "test", folder.path());
  CHECK(turned.real_labels());
  CHECK_FALSE(plain.real_labels());
  CHECK(turned.size() == plain.size());
  CHECK(turned.classes == 1);
  CHECK(turned.labels.empty());
  CHECK(turned.sha256() != plain.sha256());
  CHECK(turned.sha256() == load_dataset("mnist-angle", "test", folder.path()).sha256());
  Bytes image(784), other(784);
  for (std::int64_t i = 0; i < turned.size(); ++i) {
    plain.read(i, image.data());
    turned.read(i, other.data());
    const float angle = turned.targets[static_cast<std::size_t>(i)];
    CHECK(angle == angle_of(turned.image_id(i)));
    CHECK(other == rotated(image, 28, 28, angle));
  }
}
