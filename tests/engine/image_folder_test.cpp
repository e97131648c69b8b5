#include "engine/io/image_folder.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>

#include "engine/io/resize.hpp"
#include "engine/threads.hpp"
#include "tests/made_dataset.hpp"
#include "tests/made_image_folder.hpp"
#include "tests/made_jpeg.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

using namespace pixeldp;
using tests::write_in;

namespace {

int sample(std::uint32_t x, std::uint32_t y, int channel) {
  return static_cast<int>(x * 9 + y * 5) % 200 + 10 * channel;
}

const Bytes jpeg = tests::MadeJpeg{.width = 12, .height = 8, .colour = JCS_RGB}.bytes(sample);

Bytes grey_png(std::uint32_t width, std::uint32_t height) {
  return tests::MadePng{
      .width = width, .height = height, .sample = [](auto x, auto y, int) { return x * 3 + y; }}
      .bytes();
}

/// Two classes; images in an order that is not the one they are made in.
struct Folder {
  TemporaryFolder root;
  Folder() {
    write_in(root / "val/b/10.JPEG", jpeg);
    write_in(root / "val/b/9.png", grey_png(8, 8));
    write_in(root / "val/a b/x.jpg", jpeg);
    write_in(root / "val/b/B.png", grey_png(4, 5));
    write_in(root / "val/b/notes.txt", Bytes{'x'});
  }
  Dataset open(const char* split = "test",
               ImageForm form = {.height = 4, .width = 4, .channels = 3, .classes = 2}) const {
    return load_dataset("image-folder", split, root.path(), form);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Folder, "classes and images follow their names; images are read in one form") {
  const Dataset set = open();
  CHECK(set.class_names == std::vector<std::string>{"a b", "b"});
  CHECK(set.labels == Labels{0, 1, 1, 1});
  CHECK(set.height == 4);
  CHECK(set.classes == 2);
  CHECK(set.split == "test");
  const Bytes pixels = tests::all_pixels(set);
  const Bytes files[] = {jpeg, jpeg, grey_png(8, 8), grey_png(4, 5)};  // 10.JPEG before 9.png
  for (std::size_t i = 0; i < 4; ++i) {
    const Image image = resized_centre(parse_image(files[i], 3, "made"), 4, 4, 4);
    CHECK(Bytes(pixels.begin() + static_cast<std::ptrdiff_t>(48 * i),
                pixels.begin() + static_cast<std::ptrdiff_t>(48 * (i + 1))) == image.pixels);
  }
  const ImageForm form{.height = 2, .width = 3, .channels = 1, .classes = 2, .short_side = 5};
  const Dataset small = open("test", form);
  CHECK(small.image_size() == 6);
  Bytes one(6);
  small.read(2, one.data());
  CHECK(one == resized_centre(parse_image(grey_png(8, 8), 1, "made"), 5, 2, 3).pixels);
  CHECK_FAILS(small.read(4, one.data()), "images 0 to 3");
}

TEST_CASE_FIXTURE(Folder, "the SHA-256 is that of what sha256sum prints") {
  std::string lines;
  for (const char* file : {"a b/x.jpg", "b/10.JPEG", "b/9.png", "b/B.png"})
    lines += sha256_file(root.path() / "val" / file) + "  " + file + "\n";
  const std::string digest = open().sha256();
  CHECK(digest == sha256_hex(as_bytes(lines)));
  write_in(root / "val/b/notes.txt", Bytes{'y'});
  CHECK(open().sha256() == digest);
  std::filesystem::rename(root / "val/b/B.png", root / "val/b/C.png");
  CHECK(open().sha256() != digest);
  std::filesystem::rename(root / "val/b/C.png", root / "val/b/B.png");
  write_in(root / "val/b/B.png", grey_png(5, 4));
  CHECK(open().sha256() != digest);
}

TEST_CASE_FIXTURE(Folder, "an image folder that is not as it should be is refused, by its place") {
  CHECK_FAILS(open("train"), "takes a folder 'train' with a folder of pictures for each class");
  CHECK_FAILS(open("test", {.height = 4, .width = 4, .channels = 3, .classes = 3}),
              "by its folders, has 2 classes, but 3 are expected");
  CHECK_FAILS(open("test", {}), "have any size");
  CHECK_FAILS(load_dataset("image-folder", "test", root.path()), "have any size");

  std::filesystem::create_directories(root / "train");
  CHECK_FAILS(open(), "train: no folders of classes");
  write_in(root / "train/a b/1.jpg", jpeg);
  CHECK_FAILS(open(), "val has the class 'b', which");
  CHECK_FAILS(open("train"), "val has the class 'b', which");
  write_in(root / "train/b/1.jpg", jpeg);
  CHECK(open("train").labels == Labels{0, 1});
  CHECK(open().size() == 4);
  write_in(root / "train/ax/1.jpg", jpeg);
  CHECK_FAILS(open(), "train has the class 'ax', which");
  std::filesystem::remove_all(root / "train/ax");

  std::filesystem::remove(root / "train/b/1.jpg");
  CHECK_FAILS(open("train"), "train/b: no pictures (.png, .jpg, .jpeg)");
  write_in(root / "train/b/1.webp", jpeg);
  CHECK_FAILS(open("train"), "train/b/1.webp: of the pictures");
  std::filesystem::remove_all(root / "train");
  std::filesystem::create_directories(root / "val/\xff");
  CHECK_FAILS(open(), "not UTF-8");
  std::filesystem::remove_all(root / "val/\xff");
  std::filesystem::create_directories(root / "val/a\nb");
  CHECK_FAILS(open(), "line break");
}

TEST_CASE_FIXTURE(Folder, "a damaged image is an error when it is read, and names its file") {
  write_in(root / "val/b/9.png", Bytes(jpeg.begin(), jpeg.end() - 30));
  write_in(root / "val/b/B.png", {});
  const Dataset set = open();
  Bytes pixels(48);
  set.read(1, pixels.data());
  CHECK_FAILS(set.read(2, pixels.data()), "val/b/9.png: damaged JPEG picture");
  CHECK_FAILS(set.read(3, pixels.data()), "val/b/B.png: neither a PNG nor a JPEG");
  std::filesystem::remove(root / "val/b/9.png");
  CHECK_FAILS(set.read(2, pixels.data()), "val/b/9.png");
  CHECK_FAILS(set.sha256(), "val/b/9.png");
}

TEST_CASE_FIXTURE(Folder, "a list of synsets numbers the classes, of which a split may lack some") {
  const auto list = [&](std::string_view text) {
    write_in(root / "synsets.txt", Bytes(text.begin(), text.end()));
  };
  std::filesystem::rename(root / "val/a b", root / "val/a");
  const ImageForm three{.height = 4, .width = 4, .channels = 3, .classes = 3};
  for (const char* text : {"# names\nb tench, Tinca tinca\r\nc\na\n", "0 b tench\n1 c\n2 a\n"}) {
    list(text);
    const Dataset set = open("test", three);
    CHECK(set.class_names == std::vector<std::string>{"b", "c", "a"});
    CHECK(set.labels == Labels{0, 0, 0, 2});
  }
  write_in(root / "train/c/1.jpg", jpeg);
  CHECK(open("train", three).labels == Labels{1});
  CHECK_FAILS(open("test", {.height = 4, .width = 4, .channels = 3, .classes = 2}),
              "synsets.txt has 3 classes, but 2 are expected");
  list("b\nc\nd\n");
  CHECK_FAILS(open("test", three), "val: the class 'a' is not in");
  list("b\nc\nb\n");
  CHECK_FAILS(open("test", three), "the class 'b' stands there twice");
  list("0 b\n7 c\n2 a\n");
  CHECK_FAILS(open("test", three), "class 1 is called '7'");
}

TEST_CASE_FIXTURE(Folder,
                  "pictures that skip.txt names are left out, in number, order and digest") {
  write_in(root / "val/b/9.png", Bytes(jpeg.begin(), jpeg.end() - 30));
  const Dataset all = open();
  Bytes pixels(48);
  CHECK_FAILS(all.read(2, pixels.data()), "write the line 'b/9.png' into");
  const std::string line = "b/9.png\n";
  write_in(root / "skip.txt", Bytes(line.begin(), line.end()));
  const Dataset rest = open();
  CHECK(rest.labels == Labels{0, 1, 1});
  CHECK(tests::all_pixels(rest).size() == 3 * 48);
  CHECK(rest.sha256() != all.sha256());
  CHECK(rest.identity() != all.identity());
}

TEST_CASE_FIXTURE(Folder, "several threads read at a time") {
  const Dataset set = open();
  const Bytes expected = tests::all_pixels(set);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) wrong += tests::all_pixels(set) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("parallel_for does all of its work once, and passes on what is thrown") {
  std::vector<int> times(1000);
  parallel_for(1000, [&](std::int64_t i) { ++times[static_cast<std::size_t>(i)]; });
  CHECK(times == std::vector<int>(1000, 1));
  parallel_for(0, [](std::int64_t) { FAIL("nothing is to be done"); });
  CHECK_THROWS_WITH_AS(parallel_for(100,
                                    [](std::int64_t i) {
                                      if (i % 2 == 1) throw std::runtime_error("odd");
                                    }),
                       "odd", std::runtime_error);
}
