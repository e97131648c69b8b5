#include <functional>
#include <string>

#include <png.h>

#include "engine/io/safetensors.hpp"
#include "tests/cli/program.hpp"
#include "tests/made_mat.hpp"
#include "tests/made_mnist.hpp"

/// What users hand to a wide ResNet that is not for it: the program says what is wrong, where, and
/// how to mend it, and neither writes nor loses anything.

using namespace pixeldp;
using namespace pixeldp::tests;

namespace {

namespace fs = std::filesystem;

/// Records of made-up pixels that differ from file to file. All labels but the last are 0.
Bytes made_cifar(int records, int label_bytes, std::uint64_t seed) {
  Bytes file;
  for (int i = 0; i < records; ++i) {
    file.resize(file.size() + static_cast<std::size_t>(label_bytes));
    file.back() = static_cast<std::uint8_t>(i % 10);
    for (std::uint32_t p = 0; p < 3072; ++p)
      file.push_back(static_cast<std::uint8_t>(
          Philox::generate({p, static_cast<std::uint32_t>(i), 0, 0}, seed)[0]));
  }
  return file;
}

void write_png(const fs::path& path, unsigned width, unsigned height, bool grey = false) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = width, png.height = height;
  png.format = grey ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  const Bytes pixels(PNG_IMAGE_SIZE(png), 99);
  REQUIRE(png_image_write_to_file(&png, path.c_str(), 0, pixels.data(), 0, nullptr));
}

/// CIFAR-10 and CIFAR-100 in a few images each, and a small wide ResNet to train on the former.
struct Workplace {
  TemporaryFolder folder;
  Workplace() {
    for (const char* set : {"ten", "hundred"}) fs::create_directory(folder / set);
    for (int k = 1; k <= 5; ++k)
      write_file_atomically(folder / "ten" / fmt::format("data_batch_{}.bin", k),
                            made_cifar(4, 1, static_cast<std::uint64_t>(k)));
    write_file_atomically(folder / "ten/test_batch.bin", made_cifar(4, 1, 6));
    write_file_atomically(folder / "hundred/train.bin", made_cifar(20, 2, 7));
    write_file_atomically(folder / "hundred/test.bin", made_cifar(4, 2, 8));
    write_file_atomically(
        folder / "made.yaml",
        "name: made\n"
        "data: {set: cifar-10, directory: ten}\n"
        "network: {architecture: wide-resnet, depth: 10, width: 1}\n"
        "noise: {mechanism: gaussian, construction_bound: 0.1}\n"
        "training: {steps: 2, batch: 2, learning_rate: 0.02, log_every: 1, evaluate_every: 2, "
        "checkpoint_every: 1, evaluation_images: 1, evaluation_draws: 1}\n");
  }
  Outcome run(const std::string& arguments) const { return run_program(arguments, folder.path()); }
  void done(const std::string& arguments) const {
    const Outcome outcome = run(arguments);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.errors);
  }
  /// The weights of a run as another program would hand them over: run/weights.safetensors.
  void export_weights(const char* run) const {
    SafetensorsFile file = read_safetensors(folder / run / "model.safetensors");
    file.metadata.clear();
    write_safetensors(folder / run / "weights.safetensors", file);
  }
  /// Ends with that status, says so, prints no result and makes nothing of that name.
  void refused(const std::string& arguments, const std::string& part, int status = 1,
               const char* not_made = "x") const {
    CAPTURE(arguments);
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == status);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, outcome.errors);
    CHECK(!fs::exists(folder / not_made));
  }
  /// A copy of the folder, with one file of it replaced or, without contents, removed.
  void copy_but(const char* from, const char* to, const char* file, const Bytes& contents) const {
    fs::remove_all(folder / to);
    fs::copy(folder / from, folder / to, fs::copy_options::recursive);
    fs::remove(folder / to / file);
    if (!contents.empty()) write_file_atomically(folder / to / file, contents);
  }
  /// A copy of the run under another name, whose model has other metadata.
  void copy_with(const char* to, const std::function<void(SafetensorsFile&)>& change) const {
    copy_but("run", to, "none", {});
    SafetensorsFile file = read_safetensors(folder / to / "model.safetensors");
    change(file);
    write_safetensors(folder / to / "model.safetensors", file);
  }
};

}  // namespace

TEST_CASE("folders of data sets that are mixed up, incomplete or damaged are refused by name") {
  const Workplace place;
  const auto train_on = [&](const char* set, const std::string& part,
                            const char* name = "cifar-10") {
    place.refused(
        fmt::format("train made.yaml --output x --set data.directory={} --set data.set={}", set,
                    name),
        part);
  };
  const Bytes first = read_file(place.folder / "ten/data_batch_1.bin");
  train_on("hundred", "it holds test.bin: name the data set 'cifar-100'");
  train_on("ten", "name the data set 'cifar-10'", "cifar-100");
  train_on("nowhere", "'nowhere'");
  place.copy_but("ten", "bad", "data_batch_3.bin", {});
  train_on("bad", "lacks data_batch_3.bin");
  place.copy_but("ten", "bad", "data_batch_4.bin", first);
  train_on("bad", "data_batch_1.bin and data_batch_4.bin hold the same images");
  place.copy_but("ten", "bad", "data_batch_2.bin", made_cifar(4, 2, 9));
  train_on(
      "bad",
      "data_batch_2.bin: 4 records of 3074 bytes instead of 3073: is this a file of CIFAR-100?");
  Bytes label = first;
  label[3073] = 10;
  place.copy_but("ten", "bad", "data_batch_1.bin", label);
  train_on("bad", "data_batch_1.bin: label 10 at offset 3073 is not below 10");
  place.copy_but("ten", "bad", "data_batch_1.bin", Bytes(first.begin(), first.end() - 9));
  train_on("bad", "data_batch_1.bin");

  // The other readers.
  Bytes hundred = made_cifar(20, 2, 7);
  hundred[3074 + 1] = 100;
  place.copy_but("hundred", "bad", "train.bin", hundred);
  train_on("bad", "train.bin: label 100 at offset 3075 is not below 100", "cifar-100");
  fs::create_directory(place.folder / "digits");
  write_made_mnist(place.folder / "digits", 64, 8);
  Bytes digits = read_file(place.folder / "digits/t10k-labels-idx1-ubyte");
  digits[8 + 5] = 11;
  place.copy_but("digits", "bad", "t10k-labels-idx1-ubyte", digits);
  const std::string mnist =
      "train made.yaml --output x --set data.set=mnist --set 'network={architecture: mnist-cnn}' "
      "--set data.directory=";
  place.refused(mnist + "bad", "t10k-labels-idx1-ubyte: label 11 at offset 13 is not below 10");
  place.copy_but("digits", "bad", "train-labels-idx1-ubyte",
                 read_file(place.folder / "digits/t10k-labels-idx1-ubyte"));
  place.refused(mnist + "bad", "train-labels-idx1-ubyte holds 8 labels");
  place.copy_but("digits", "bad", "train-labels-idx1-ubyte",
                 read_file(place.folder / "digits/train-images-idx3-ubyte"));
  place.refused(mnist + "bad", "train-labels-idx1-ubyte: not an IDX file");
  fs::create_directory(place.folder / "houses");
  for (const char* file : {"train_32x32.mat", "test_32x32.mat"})
    write_file_atomically(place.folder / "houses" / file,
                          made_mat({{.name = "X", .extents = {32, 32, 3, 1}, .data = Bytes(3072)},
                                    {.name = "y", .extents = {1, 1}, .data = {11}}},
                                   false));
  train_on("houses", "train_32x32.mat: label 11 of image 0 is not one of 1 to 10", "svhn");
}

TEST_CASE("pictures and data sets of another size than the network's are refused by name") {
  const Workplace place;
  place.done("train made.yaml --output run");
  write_png(place.folder / "small.png", 28, 28);
  write_png(place.folder / "narrow.png", 16, 32);
  write_png(place.folder / "right.png", 32, 32, true);
  place.refused("predict run small.png",
                "small.png: the picture has 28x28 pixels, but the model takes 32x32");
  place.refused("predict run right.png narrow.png", "narrow.png: the picture has 16x32 pixels");
  place.done("predict run right.png");

  write_made_mnist(place.folder.path(), 64, 8);
  const char* log = "run/certificates.jsonl";
  place.refused("certify run --dataset mnist --data .",
                "data set mnist has images of 28x28x1 in 10 classes, but model 'made' takes "
                "32x32x3 in 10",
                1, log);
  place.refused("certify run --dataset cifar-100 --data hundred",
                "has 100 classes, but the weights", 1, log);
  place.refused("certify run --data hundred", "name the data set 'cifar-100'", 1, log);
  place.refused(
      "train made.yaml --output x --set data.set=mnist --set data.directory=. --set "
      "training.augment.pad=40",
      "pad", 2);

  place.export_weights("run");
  place.refused(
      "import run/model.safetensors --architecture wide-resnet --depth 10 --width 1 "
      "--output x --dataset cifar-10",
      "whose noise an import would leave out");
  const std::string import =
      "import run/weights.safetensors --architecture wide-resnet --depth 10 --width 1 --output x ";
  place.refused(import + "--dataset mnist",
                "images of 28x28x1 in 10 classes, but model 'weights' takes 28x28x3");
  place.refused(import + "--dataset cifar-10 --image-height 28", "takes 28x32x3");
  place.done(import + "--dataset cifar-10");
}

TEST_CASE("weights of another architecture are refused by the tensor that tells") {
  const Workplace place;
  place.done("train made.yaml --output run");
  place.done("train made.yaml --output wide --set network.width=2");
  place.done("train made.yaml --output deep --set network.depth=16 --set training.steps=1");
  const std::string run = text_of(place.folder / "run/model.safetensors");

  // import
  place.export_weights("run");
  place.export_weights("deep");
  const auto import = [](const char* as) {
    return fmt::format(
        "import run/weights.safetensors --dataset cifar-10 --output x --architecture {}", as);
  };
  place.refused(import("wide-resnet --depth 10 --width 2"),
                "tensor 'layer1.0.conv1.weight' is 16x16x3x3, but architecture wide-resnet has "
                "32x16x3x3: its kind or width is another");
  place.refused(import("wide-resnet --depth 16 --width 1"),
                "tensor 'layer1.1.bn1.weight' of architecture wide-resnet is missing: its kind or "
                "depth is another; the file has ");
  place.refused(import("resnet --depth 8"),
                "tensor 'bn1.weight' of architecture resnet is missing");
  place.refused(import("mnist-cnn"), "tensor 'conv2.weight' of architecture mnist-cnn is missing:");
  place.refused(
      "import deep/weights.safetensors --dataset cifar-10 --output x --architecture "
      "wide-resnet --depth 10 --width 1",
      "has no tensor 'layer1.1.");

  // certify
  place.copy_with("other", [](SafetensorsFile& f) { f.metadata["widening"] = "2"; });
  place.refused("certify other --data ten",
                "other/model.safetensors: tensor 'layer1.0.conv1.weight' is 16x16x3x3", 1,
                "other/certificates.jsonl");
  place.copy_with("other", [](SafetensorsFile& f) { f.metadata["depth"] = "16"; });
  place.refused("certify other --data ten", "'layer1.1.bn1.weight'", 1, "other/certificates.jsonl");

  // resume: under another configuration, and from the checkpoint of another network
  const std::string resume = "train made.yaml --resume --output run ";
  place.refused(resume + "--set network.width=2",
                "belongs to another configuration, with 'network.width: 1' where this one has "
                "'network.width: 2'");
  place.refused(resume + "--set network.depth=16",
                "'network.depth: 10' where this one has 'network.depth: 16'");
  SafetensorsFile checkpoint = read_safetensors(place.folder / "wide/checkpoint.safetensors");
  checkpoint.metadata["config"] = text_of(place.folder / "run/config.yaml");
  place.copy_but("run", "mixed", "checkpoint.safetensors", {});
  write_safetensors(place.folder / "mixed/checkpoint.safetensors", checkpoint);
  const std::string log = text_of(place.folder / "mixed/training.csv");
  place.refused("train made.yaml --resume --output mixed",
                "mixed/checkpoint.safetensors: tensor 'layer1.0.conv1.weight' is 32x16x3x3, but "
                "architecture wide-resnet has 16x16x3x3");
  CHECK(text_of(place.folder / "mixed/training.csv") == log);
  CHECK(text_of(place.folder / "run/model.safetensors") == run);
}

TEST_CASE("int8 without scales, or with damaged ones, is refused, and quantise mends it") {
  const Workplace place;
  place.done("train made.yaml --output run");
  const std::string int8 = " --precision int8 --images 0:1 --draws 2 --data ten";
  place.refused("certify run" + int8, "'pixeldp quantise RUN' makes them", 1,
                "run/certificates.jsonl");
  place.refused("predict run test:0 --precision int8 --data ten", "'pixeldp quantise RUN'");
  place.done("quantise run --images 8 --data ten");
  place.done("certify run" + int8 + " --output log");
  const auto damaged = [&](auto change, const std::string& part) {
    place.copy_with("bad", [&](SafetensorsFile& file) {
      std::string& scales = file.metadata.at("quantisation_scales");
      change(file, scales);
    });
    place.refused("certify bad" + int8, part, 1, "bad/certificates.jsonl");
    CHECK(part.find("quantise") != std::string::npos);
  };
  using File = SafetensorsFile;
  const std::string layer = "layer1.0.conv1=";
  const std::string anew = "': 'pixeldp quantise RUN' makes them anew";
  const auto first = [&](const std::string& instead) {
    return [=](File&, std::string& s) { s.replace(0, s.find(','), instead); };
  };
  damaged(first(layer + "0"), "at '" + layer + "0" + anew);
  damaged(first(layer + "-1"), "at '" + layer + "-1" + anew);
  damaged(first(layer + "nan"), "at '" + layer + "nan" + anew);
  damaged(first(layer + "1e99"), "at '" + layer + "1e99" + anew);
  damaged(first("nonsense"), "at 'nonsense" + anew);
  damaged([&](File&, std::string& s) { s += "," + layer + "1"; }, "at '" + layer + "1" + anew);
  damaged([](File&, std::string& s) { s.erase(0, s.find(',') + 1); },
          "lack that of layer layer1.0.conv1: 'pixeldp quantise RUN' makes them");
  damaged([](File&, std::string& s) { s += ",other=1"; },
          "7 scales for int8, but 6 layers that take one: 'pixeldp quantise RUN' makes them");
  damaged([](File& f, std::string&) { f.metadata.erase("quantisation_seed"); },
          "metadata 'quantisation_seed' is missing: 'pixeldp quantise RUN' makes the scales anew");

  place.copy_with("bad", [](File& f) { f.metadata["quantisation_scales"] = "nonsense"; });
  place.done("quantise bad --images 8 --data ten");
  place.done("certify bad" + int8);
  CHECK(text_of(place.folder / "bad/model.safetensors") ==
        text_of(place.folder / "run/model.safetensors"));
}

TEST_CASE("training in a precision that the processor has not is refused before it begins") {
  const Workplace place;
  const std::string train = "train made.yaml --output x --set training.precision=";
  const Outcome outcome =
      run_program(train + "bf16", place.folder.path(), "PIXELDP_INSTRUCTIONS=avx512");
  CHECK(outcome.status == 1);
  CHECK_MESSAGE(outcome.errors.find("training.precision: bf16: this processor has no AVX-512 BF16, "
                                    "which products of bf16 take; training.precision: fp32 works "
                                    "everywhere") != std::string::npos,
                outcome.errors);
  CHECK(!fs::exists(place.folder / "x"));
  place.refused(train + "fp8", "training.precision", 2);
}
