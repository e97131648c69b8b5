#include <nlohmann/json.hpp>

#include "tests/cli/foreign_weights.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/made_image_folder.hpp"
#include "tests/made_jpeg.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

TEST_CASE("an image folder is trained on, certified and predicted from") {
  const MadeWorkplace place(8, 40, 20);
  for (const std::string split : {"train", "test"})
    write_as_folder(load_dataset("mnist", split, place.folder.path()), place.folder / split);
  place.done(
      "train made.yaml --output run --set data.set=image-folder --set data.height=28 --set "
      "data.width=28 --set data.channels=1 --set data.classes=10 --set "
      "training.evaluation_images=4");
  const json report =
      json::parse(place.done("certify run --images 3:7 --draws 20 --json" + place.data()));
  CHECK(report["images"] == 4);

  // A picture of another size is brought to the network's, as those of the folder are.
  const Bytes large =
      MadeJpeg{.width = 90, .height = 60}.bytes([](auto x, auto y, int) { return x + y; });
  write_file_atomically(place.folder / "large.jpg", large);
  const std::string text = place.done("predict run large.jpg test:3 --draws 20" + place.data());
  CHECK(text.find("large.jpg: label ") != std::string::npos);
  CHECK(text.find(" (class ") != std::string::npos);
  place.refused("certify run --draws 20", "--data", 1);

  std::filesystem::rename(place.folder / "test/class 4", place.folder / "test/class 4b");
  place.refused("certify run --draws 20 --output log" + place.data(),
                "train has the class 'class 4', which", 1);
  std::filesystem::remove_all(place.folder / "train");
  place.refused("certify run --draws 20 --output log" + place.data(),
                "label 4 of data set image-folder is 'class 4b'", 1);
}

TEST_CASE("foreign weights for an image folder say which images they take") {
  const MadeWorkplace place(1, 20, 20);
  write_safetensors(place.folder / "foreign.safetensors", foreign_weights(""));
  write_as_folder(load_dataset("mnist", "test", place.folder.path()), place.folder / "val");
  const std::string import =
      "import foreign.safetensors --architecture resnet --depth 8 --output run --dataset ";
  place.refused(import + "image-folder", "--image-height and --image-width", 2);
  place.refused(import + "mnist --short-side 40", "--short-side is for pictures of any size", 2);
  place.refused(import + "image-folder --image-height 28 --image-width 28 --short-side 27", "cover",
                2);
  place.done(import + "image-folder --image-height 28 --image-width 28 --short-side 32");
  CHECK(json::parse(place.done("certify run --images 0:3 --json" + place.data()))["images"] == 3);
}

TEST_CASE("a network with one class more than a folder is refused until the classes are listed") {
  const MadeWorkplace place(1, 20, 20);
  write_safetensors(place.folder / "foreign.safetensors", foreign_weights("", 11));
  write_as_folder(load_dataset("mnist", "test", place.folder.path()), place.folder / "val");
  place.done(
      "import foreign.safetensors --architecture resnet --depth 8 --output run --dataset "
      "image-folder --image-height 28 --image-width 28");
  const std::string certify = "certify run --images 0:3 --json" + place.data();
  place.refused(certify, "by its folders, has 10 classes, but 11 are expected", 1);
  place.refused(certify, "with a line for it", 1);
  CHECK(!std::filesystem::exists(place.folder / "run/certificates.jsonl"));
  std::string listed = "background\n";
  for (int label = 0; label < 10; ++label) {
    const std::string name = fmt::format("n{}", label);
    std::filesystem::rename(place.folder / fmt::format("val/class {}", label),
                            place.folder / ("val/" + name));
    listed += name + "\n";
  }
  write_file_atomically(place.folder / "synsets.txt", listed);
  place.done(certify);
  const std::string log = text_of(place.folder / "run/certificates.jsonl");
  const auto start = log.find('\n') + 1;
  const json first = json::parse(log.substr(start, log.find('\n', start) - start));
  CHECK(first["label"] == 1);  // n0
}
