#include "engine/io/dataset.hpp"

#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "tests/engine/made_files.hpp"
#include "tests/gzip.hpp"
#include "tests/made_dataset.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {

using tests::all_pixels;

TEST_CASE("IDX images and labels are read as they are stored") {
  const IdxImages images = parse_idx_images(idx_images(3, 4, 5), "f");
  CHECK(images.count == 3);
  CHECK(images.height == 4);
  CHECK(images.width == 5);
  REQUIRE(images.pixels.size() == 60);
  for (std::size_t i = 0; i < 60; ++i) CHECK(images.pixels[i] == pixel_at(i / 20, i % 20));
  CHECK(parse_idx_labels(idx_labels({0, 9, 4}), 10, "f") == Bytes{0, 9, 4});
}

TEST_CASE("a damaged IDX file is an error that says where") {
  const Bytes good = idx_images(2, 2, 2);
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_FAILS(parse_idx_images(ByteView(good).first(size), "cut"), "cut: cut short");
  }
  CHECK_FAILS(parse_idx_images(concatenation(good, {0}), "f"),
              "f: too long: the header announces 8 bytes of data from offset 16, the file has 9");
  for (std::size_t byte = 0; byte < 4; ++byte) {
    CAPTURE(byte);
    Bytes wrong = good;
    wrong[byte] ^= 0x10;
    CHECK_FAILS(parse_idx_images(wrong, "f"), "not an IDX file of unsigned bytes with 3 axes");
  }
  CHECK_FAILS(parse_idx_images(idx_labels(Bytes(20)), "f"), "starts with 00000801");
  CHECK_FAILS(parse_idx_images(idx_header(3, {0, 28, 28}), "f"), "axis 0 at offset 4 is zero");
  CHECK_FAILS(parse_idx_images(idx_header(3, {1, 28, 0}), "f"), "axis 2 at offset 12 is zero");
  CHECK_FAILS(parse_idx_images(idx_header(3, {0xffffffff, 0xffffffff, 0xffffffff}), "f"),
              "axis 2 at offset 12 exceed any memory");
  // 2^31 * 2^31 * 4 is 2^64, which would wrap to no data at all.
  CHECK_FAILS(parse_idx_images(idx_header(3, {0x80000000, 0x80000000, 4}), "f"), "exceed");
  CHECK_FAILS(parse_idx_labels(idx_labels({3, 10, 2}), 10, "f"),
              "f: label 10 at offset 9 is not below 10");
}

TEST_CASE("CIFAR planes become interleaved pixels") {
  const CifarImages images = parse_cifar10(cifar({{3}, {9}}), "f");
  CHECK(images.labels == Bytes{3, 9});
  REQUIRE(images.pixels.size() == 2 * 3072);
  std::size_t different = 0;
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t p = 0; p < 1024; ++p)
      for (std::size_t c = 0; c < 3; ++c)
        different += images.pixels[i * 3072 + p * 3 + c] != pixel_at(i, c * 1024 + p);
  CHECK(different == 0);

  const CifarImages fine = parse_cifar100(cifar({{19, 99}, {0, 5}}), "f");
  CHECK(fine.labels == Bytes{99, 5});
  CHECK(fine.pixels == images.pixels);
}

TEST_CASE("a damaged CIFAR file is an error that says where") {
  const Bytes good = cifar({{1}, {2}});
  CHECK_FAILS(parse_cifar10({}, "f"), "f: 0 bytes is not one or more records of 3073 bytes");
  CHECK_FAILS(parse_cifar10(ByteView(good).first(good.size() - 1), "f"), "offset 3073 is cut");
  CHECK_FAILS(parse_cifar10(concatenation(good, {0}), "f"), "offset 6146 is cut short");
  CHECK_FAILS(parse_cifar10(cifar({{1}, {10}}), "f"), "label 10 at offset 3073 is not below 10");
  CHECK_FAILS(parse_cifar100(cifar({{20, 1}}), "f"), "label 20 at offset 0 is not below 20");
  CHECK_FAILS(parse_cifar100(cifar({{1, 1}, {1, 100}}), "f"), "label 100 at offset 3075");
  CHECK_FAILS(parse_cifar100(good, "f"), "is this a file of CIFAR-10?");
  CHECK_FAILS(parse_cifar10(cifar({{1, 2}, {3, 4}, {5, 6}}), "f"),
              "f: 3 records of 3074 bytes instead of 3073: is this a file of CIFAR-100?");
}

TEST_CASE("load_dataset reads the MNIST files, plain or compressed, with the same digest") {
  const TemporaryFolder plain, compressed;
  const Bytes images = idx_images(3, 28, 28), labels = idx_labels({7, 2, 1});
  write_file_atomically(plain / "t10k-images-idx3-ubyte", images);
  write_file_atomically(plain / "t10k-labels-idx1-ubyte", labels);
  write_file_atomically(compressed / "t10k-images-idx3-ubyte.gz", gzip(images));
  write_file_atomically(compressed / "t10k-labels-idx1-ubyte.gz", gzip(labels));

  const Dataset a = load_dataset("mnist", "test", plain.path());
  CHECK(a.name == "mnist");
  CHECK(a.split == "test");
  CHECK(a.size() == 3);
  CHECK(a.image_size() == 784);
  CHECK(a.height == 28);
  CHECK(a.width == 28);
  CHECK(a.channels == 1);
  CHECK(a.classes == 10);
  CHECK(a.labels == Labels{7, 2, 1});
  CHECK(all_pixels(a)[784 + 5] == pixel_at(1, 5));
  CHECK(a.sha256() == sha256_hex(concatenation(images, labels)));

  const Dataset b = load_dataset("fashion-mnist", "test", compressed.path());
  CHECK(b.sha256() == a.sha256());
  CHECK(all_pixels(b) == all_pixels(a));

  CHECK_FAILS(load_dataset("mnist", "train", plain.path()),
              "lacks train-images-idx3-ubyte, train-labels-idx1-ubyte, plain or as .gz");
  CHECK_FAILS(load_dataset("mnist", "validation", plain.path()), "choose train or test");
  CHECK_FAILS(load_dataset("mnits", "test", plain.path()),
              "mnist, fashion-mnist, cifar-10, cifar-100");

  write_file_atomically(plain / "t10k-labels-idx1-ubyte", idx_labels({7, 2}));
  CHECK_FAILS(load_dataset("mnist", "test", plain.path()), "holds 3 images");
  write_file_atomically(plain / "t10k-images-idx3-ubyte", idx_images(2, 28, 27));
  CHECK_FAILS(load_dataset("mnist", "test", plain.path()), "images of 28x27, not 28x28");
}

TEST_CASE("load_dataset joins the five CIFAR-10 batches in order") {
  const TemporaryFolder folder;
  Bytes all;
  for (std::uint8_t i = 1; i <= 5; ++i) {
    const Bytes batch = cifar({{i}, {static_cast<std::uint8_t>(i + 1)}});
    all = concatenation(all, batch);
    write_file_atomically(folder / fmt::format("data_batch_{}.bin", i), batch);
  }
  const Dataset dataset = load_dataset("cifar-10", "train", folder.path());
  CHECK(dataset.labels == Labels{1, 2, 2, 3, 3, 4, 4, 5, 5, 6});
  CHECK(all_pixels(dataset).size() == 10 * 3072);
  CHECK(dataset.classes == 10);
  CHECK(dataset.channels == 3);
  CHECK(dataset.sha256() == sha256_hex(all));
  CHECK_FAILS(load_dataset("cifar-10", "test", folder.path()), "test_batch.bin");
  std::filesystem::remove(folder / "data_batch_3.bin");
  CHECK_FAILS(load_dataset("cifar-10", "train", folder.path()), "data_batch_3.bin");

  write_file_atomically(folder / "train.bin", cifar({{19, 42}}));
  const Dataset fine = load_dataset("cifar-100", "train", folder.path());
  CHECK(fine.labels == Labels{42});
  CHECK(fine.classes == 100);
}

TEST_CASE("to_float spans the pixels over [0, 1] plus the shift") {
  Dataset dataset;
  dataset.name = "d";
  dataset.split = "test";
  dataset.height = 16;
  dataset.width = 16;
  dataset.channels = 1;
  dataset.labels = {0, 0};
  Bytes pixels;
  for (int i = 0; i < 512; ++i) pixels.push_back(static_cast<std::uint8_t>(i));
  dataset.images = images_in_memory(pixels, 256, "");

  std::vector<float> out(512, -7.0f);
  to_float(dataset, 0, 2, out.data(), 0.0f);
  CHECK(out[0] == 0.0f);
  CHECK(out[255] == 1.0f);
  for (std::size_t i = 0; i < 512; ++i) CHECK(out[i] == static_cast<float>(i % 256) / 255.0f);
  to_float(dataset, 1, 2, out.data(), -0.5f);
  CHECK(out[0] == -0.5f);
  CHECK(out[255] == 0.5f);
  CHECK(out[256] == 0.0f);  // beyond what was asked for

  pixels[0] = 51;
  dataset.images = images_in_memory(pixels, 256, "");
  to_float(dataset, 0, 1, out.data(), 0.0f);
  CHECK(out[0] == 0.2f);

  CHECK_FAILS(to_float(dataset, 1, 3, out.data(), 0.0f), "image 2 does not exist");
  CHECK_FAILS(to_float(dataset, -1, 1, out.data(), 0.0f), "image -1 does not exist");
  CHECK_FAILS(dataset.read(2, pixels.data()), "images 0 to 1");
}

TEST_CASE("the parts of data sets are read where they are installed") {
  const std::pair<std::string, std::int64_t> parts[] = {{"cifar-100-first2000", 2000},
                                                        {"svhn-sample", 19}};
  for (const auto& [name, size] : parts) {
    std::filesystem::path directory;
    try {
      directory = find_dataset_directory(name, std::nullopt);
    } catch (const Error&) {
      MESSAGE("skipped: " << name << " is not installed (set PIXELDP_DATA)");
      continue;
    }
    const Dataset part = load_dataset(name, "test", directory);
    CHECK(part.size() == size);
    CHECK(all_pixels(part).size() == static_cast<std::size_t>(size) * 3072);
    std::vector<int> per_class(static_cast<std::size_t>(part.classes));
    for (const auto label : part.labels) ++per_class[static_cast<std::size_t>(label)];
    if (part.classes == 100)
      for (const int count : per_class) CHECK(std::abs(count - 20) < 20);
  }
}

// Means of all pixels / 255 as the literature gives them, on the real files where they are
// installed.
TEST_CASE("the real data sets have their known sizes and means") {
  struct Known {
    std::string name;
    std::int64_t train_size;
    std::vector<double> train_means;
  };
  const std::vector<Known> all{{"mnist", 60'000, {0.1307}},
                               {"fashion-mnist", 60'000, {0.2860}},
                               {"cifar-10", 50'000, {0.4914, 0.4822, 0.4465}}};
  for (const Known& known : all) {
    CAPTURE(known.name);
    std::filesystem::path directory;
    try {
      directory = find_dataset_directory(known.name, std::nullopt);
    } catch (const Error&) {
      MESSAGE("skipped: " << known.name << " is not installed (set PIXELDP_DATA)");
      continue;
    }
    const Dataset test = load_dataset(known.name, "test", directory);
    CHECK(test.size() == 10'000);
    std::array<int, 10> per_class{};
    for (const auto label : test.labels) ++per_class[static_cast<std::size_t>(label)];
    for (const int count : per_class) CHECK(count > 800);

    const Dataset train = load_dataset(known.name, "train", directory);
    CHECK(train.size() == known.train_size);
    CHECK(train.sha256() != test.sha256());
    std::vector<std::uint64_t> sums(known.train_means.size());
    REQUIRE(train.channels == static_cast<std::int64_t>(sums.size()));
    const Bytes pixels = all_pixels(train);
    for (std::size_t i = 0; i < pixels.size(); ++i) sums[i % sums.size()] += pixels[i];
    for (std::size_t c = 0; c < sums.size(); ++c) {
      const double mean =
          static_cast<double>(sums[c]) / 255.0 / static_cast<double>(pixels.size() / sums.size());
      CHECK(std::abs(mean - known.train_means[c]) < 0.00006);
    }
  }
}

}  // namespace pixeldp
