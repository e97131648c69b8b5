#include <map>

#include "pixeldp/certification.hpp"
#include "pixeldp/quantisation.hpp"
#include "tests/made_dataset.hpp"
#include "tests/made_image_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"
#include "tests/trainers/fixture.hpp"
#include "trainers/checkpoint.hpp"
#include "trainers/prefetcher.hpp"
#include "trainers/training_config.hpp"

using namespace pixeldp;

namespace {

/// The made-up digits, sorted by label, as IDX files and as an image folder.
struct TwoKinds {
  TemporaryFolder folder;

  TwoKinds() {
    const TemporaryFolder unsorted;
    tests::write_made_mnist(unsorted.path(), 64, 32);
    for (const auto& [split, stem] : {std::pair("train", "train"), std::pair("test", "t10k")}) {
      const Dataset set = load_dataset("mnist", split, unsorted.path());
      Bytes images{0, 0, 8, 3,  0, 0, 0, static_cast<std::uint8_t>(set.size()),
                   0, 0, 0, 28, 0, 0, 0, 28};
      Bytes labels{0, 0, 8, 1, 0, 0, 0, static_cast<std::uint8_t>(set.size())};
      Bytes pixels(784);
      for (int label = 0; label < 10; ++label)
        for (std::int64_t i = 0; i < set.size(); ++i) {
          if (set.labels[static_cast<std::size_t>(i)] != label) continue;
          set.read(i, pixels.data());
          images.insert(images.end(), pixels.begin(), pixels.end());
          labels.push_back(static_cast<std::uint8_t>(label));
        }
      write_file_atomically(folder / (std::string(stem) + "-images-idx3-ubyte"), images);
      write_file_atomically(folder / (std::string(stem) + "-labels-idx1-ubyte"), labels);
      tests::write_as_folder(memory(split), folder / split);
    }
  }

  Dataset memory(const std::string& split) const {
    return load_dataset("mnist", split, folder.path());
  }
  Dataset files(const std::string& split) const {
    return load_dataset("image-folder", split, folder.path(),
                        {.height = 28, .width = 28, .channels = 1, .classes = 10});
  }
  ConfigNode config(const std::string& set) const {
    ConfigNode config = ConfigNode::parse(tests::made_mnist_config(folder.path(), 12), "test.yaml");
    config.set("training.evaluation_images=5");
    if (set == "image-folder") {
      for (const char* value : {"data.set=image-folder", "data.height=28", "data.width=28",
                                "data.channels='1'", "data.classes=10"})
        config.set(value);
    }
    return config;
  }
};

std::vector<std::string> counts_of(const CertificationSummary& summary) {
  std::vector<std::string> texts;
  for (const CertificateRecord& r : summary.records)
    texts.push_back(fmt::format("{} {} {} {} {}", r.image, r.label, r.prediction, r.radius,
                                fmt::join(r.statistics.votes, ",")));
  return texts;
}

}  // namespace

TEST_CASE_FIXTURE(TwoKinds, "an image folder trains and certifies like the same pixels in memory") {
  REQUIRE(files("test").labels == memory("test").labels);
  std::map<std::string, Model> models;
  for (const char* set : {"mnist", "image-folder"}) {
    train(config(set), {.output = folder / (std::string("run-") + set)});
    models.emplace(set, load_model(folder / (std::string("run-") + set) / "model.safetensors"));
  }
  const Model &in_memory = models.at("mnist"), &in_files = models.at("image-folder");
  const auto ours = in_memory.network.saved_tensors(), theirs = in_files.network.saved_tensors();
  REQUIRE(ours.size() == theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i)
    CHECK(std::ranges::equal(ours[i]->value.values(), theirs[i]->value.values()));
  CHECK(in_files.class_names[3] == "class 3");
  CHECK(in_memory.class_names.empty());

  // Only the images that are certified are read, once each.
  CertificationOptions options;
  options.draws = 100;
  options.images = {.first = 1, .last = 20, .step = 6};
  const auto certified = [&](const Model& model, const Dataset& set) {
    return counts_of(certify_dataset(model, std::string(64, 'a'), set, options, folder / "log"));
  };
  Dataset counted = files("test");
  const auto reader = std::make_shared<tests::CountingReader>(counted.images);
  counted.images = reader;
  const auto of_files = certified(in_files, counted);
  CHECK(of_files.size() == 4);
  CHECK(reader->reads() == 4);
  std::filesystem::remove(folder / "log");
  CHECK(certified(in_memory, memory("test")) == of_files);

  Dataset training = files("train");
  const auto quantised = std::make_shared<tests::CountingReader>(training.images);
  training.images = quantised;
  CHECK(quantise(in_files, training, 7, 1) == quantise(in_memory, memory("train"), 7, 1));
  CHECK(quantised->reads() == 7);

  // Another folder with classes of other names is not what the model knows.
  Dataset other = files("test");
  other.class_names[4] = "cat";
  std::filesystem::remove(folder / "log");
  CHECK_FAILS(certified(in_files, other), "label 4 of data set image-folder is 'cat'");
}

TEST_CASE_FIXTURE(TwoKinds,
                  "batches of an image folder are read ahead of their step, and no more") {
  const BatchSource::Options options{
      .batch = 6, .seed = 3, .pixel_shift = -0.5f, .augmentation = {.pad = 2, .mirror = false}};
  const Dataset memory_set = memory("train");
  Dataset set = files("train");
  const auto reader = std::make_shared<tests::CountingReader>(set.images);
  set.images = reader;
  BatchSource source(set, options), expected(memory_set, options);
  {
    Prefetcher batches(0, 100,
                       [&](std::int64_t step, TrainingBatch& b) { source.prepare(step, b); });
    TrainingBatch right;
    for (std::int64_t step = 0; step < 3; ++step) {
      const TrainingBatch& batch = batches.next();
      expected.prepare(step, right);
      CHECK(std::ranges::equal(batch.images.values(), right.images.values()));
      CHECK(batch.labels == right.labels);
    }
  }
  CHECK(reader->reads() >= 3 * 6);
  CHECK(reader->reads() <= 4 * 6);  // the batch in hand and the next

  write_file_atomically(folder / "train/class 0/00000.png", Bytes{1});
  Prefetcher batches(0, 100, [&](std::int64_t step, TrainingBatch& b) { source.prepare(step, b); });
  CHECK_FAILS(
      [&] {
        for (int step = 0; step < 12; ++step) batches.next();
      }(),
      "train/class 0/00000.png: neither a PNG nor a JPEG");
}

TEST_CASE_FIXTURE(TwoKinds, "a damaged picture costs no step, and other pictures are refused") {
  ConfigNode config = this->config("image-folder");
  config.set("training.batch=8");
  config.set("training.checkpoint_every=100");
  train(config, {.output = folder / "whole"});

  // Met by the step itself, by the check before a checkpoint, and by an evaluation.
  struct Case {
    const char* split;
    std::int64_t index, step;
    const char* checkpoint_every;
  };
  EpochSampler order(64, 1);
  for (const auto& [split, index, step, every] :
       {Case{"train", order.batch(5, 8).images[0], 5, "100"},
        Case{"train", order.batch(7, 8).images[0], 7, "7"}, Case{"test", 3, 12, "100"}}) {
    CAPTURE(step);
    const int label = files(split).labels[static_cast<std::size_t>(index)];
    const auto damaged =
        folder / split / fmt::format("class {}", label) / fmt::format("{:05}.png", index);
    const auto picture = read_file(damaged);
    write_file_atomically(damaged, Bytes{1});
    config.set(fmt::format("training.checkpoint_every={}", every));
    const TrainOptions options{.output = folder / "run", .resume = step > 5};
    CHECK_FAILS(
        train(config, options),
        fmt::format("{}: neither a PNG nor a JPEG picture; replace it, or write the line '{}' into "
                    "{} to leave it out; {} of 12 steps are done and saved in {}",
                    damaged.string(), damaged.lexically_relative(folder / split).string(),
                    (folder / "skip.txt").string(), step, options.output.string()));
    CHECK(read_checkpoint(folder / "run" / "checkpoint.safetensors").step() == step);
    write_file_atomically(damaged, picture);
  }

  // One name more, and one that is other.
  const auto added = folder / "train/class 0/zero.png", renamed = folder / "train/class 0/nil.png";
  std::filesystem::copy(folder / "train/class 0/00000.png", added);
  const TrainOptions resumed{.output = folder / "run", .resume = true};
  const auto refusal = "this checkpoint was trained on other images of image-folder than lie in " +
                       folder.path().string() + " now";
  CHECK_FAILS(train(config, resumed), refusal);
  std::filesystem::remove(added);
  std::filesystem::rename(folder / "train/class 0/00000.png", renamed);
  CHECK_FAILS(train(config, resumed), refusal);
  std::filesystem::rename(renamed, folder / "train/class 0/00000.png");
  train(config, resumed);
  CHECK(tests::text_of(folder / "run" / "model.safetensors") ==
        tests::text_of(folder / "whole" / "model.safetensors"));
}

TEST_CASE_FIXTURE(TwoKinds, "a configuration says in which form an image folder is read") {
  ConfigNode good = config("image-folder");
  const TrainingConfig read = read_training_config(good);
  CHECK(read.network.height == 28);
  CHECK(read.network.channels == 1);
  CHECK(read.network.classes == 10);
  CHECK(read.short_side == 28);
  const auto with = [&](const char* value) {
    ConfigNode changed = good;
    changed = ConfigNode::parse(changed.to_yaml(), "test.yaml");
    changed.set(value);
    return read_training_config(changed);
  };
  CHECK(with("data.short_side=32").short_side == 32);
  CHECK(with("data.channels='3'").network.channels == 3);
  CHECK_FAILS(with("data.short_side=27"), "do not cover 28x28");
  CHECK_FAILS(with("data.channels=2"), "data.channels");
  CHECK_FAILS(with("data.classes="), "data.classes");
  CHECK_FAILS(with("data.height=0"), "data.height");
  ConfigNode digits = config("mnist");
  digits.set("data.classes=10");
  CHECK_FAILS(read_training_config(digits), "data.classes");

  // It stays in the model.
  ConfigNode resized = good;
  resized.set("data.short_side=32");
  resized.set("training.steps=1");
  train(resized, {.output = folder / "run"});
  const Model model = load_model(folder / "run" / "model.safetensors");
  CHECK(image_form(model).resized_side() == 32);
  CHECK(image_form(model).classes == 10);
}
