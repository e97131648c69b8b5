#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "tests/cli/made_workplace.hpp"

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;

namespace {

struct TrainingWorkplace : MadeWorkplace {
  TrainingWorkplace() : MadeWorkplace(6) {}
  Outcome train(const std::string& arguments, const std::string& variables = "") const {
    return run("train " + arguments, variables);
  }
  std::string text(const char* file) const { return text_of(folder / file); }
};

bool says(const Outcome& outcome, const std::string& part) {
  return outcome.errors.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a finished run that is resumed says so, and reports its loss") {
  const TrainingWorkplace place;
  const Outcome first = place.train("made.yaml --output run --resume --json");
  REQUIRE_MESSAGE(first.status == 0, first.errors);
  CHECK(says(first, "run has no checkpoint to resume: training starts anew"));
  const Outcome again = place.train("made.yaml --output run --resume --json");
  REQUIRE_MESSAGE(again.status == 0, again.errors);
  CHECK(again.errors == "pixeldp: run is finished: its 6 steps are done already\n");
  CHECK(json::parse(again.output) == json::parse(first.output));
}

TEST_CASE("RUN/config.yaml resumes RUN, at another rate if need be") {
  const TrainingWorkplace place;
  REQUIRE(place.train("made.yaml --output elsewhere/run").status == 0);
  const Outcome longer = place.train(
      "elsewhere/run/config.yaml --resume --json --set training.steps=9 --set "
      "training.learning_rate=0.01");
  REQUIRE_MESSAGE(longer.status == 0, longer.errors);
  CHECK(json::parse(longer.output)["run"] == "elsewhere/run");
  CHECK(json::parse(longer.output)["steps"] == 9);
  CHECK(says(longer, "from step 6 on with training.steps: 9 (was 6)"));
  CHECK(
      says(longer,
           "from step 6 on with training.learning_rate_changes: [{step: 6, rate: 0.01}] (was [])"));
  CHECK(!std::filesystem::exists(place.folder / "runs"));
  // Anywhere else as ever.
  REQUIRE(place.train("elsewhere/run/config.yaml --output other").status == 0);
  CHECK(place.text("other/model.safetensors") == place.text("elsewhere/run/model.safetensors"));
}

TEST_CASE("keys that fall away are named, and an unknown key before all else") {
  const TrainingWorkplace place;
  const Outcome laplace =
      place.train("made.yaml --output run --set noise.mechanism=laplace --set noise.attack_norm=2");
  CHECK_MESSAGE(laplace.status == 0, laplace.errors);
  CHECK(laplace.errors.find("falls away") == std::string::npos);  // delta was not given
  const Outcome gone = place.train(
      "made.yaml --output none --set noise.mechanism=none --set training.learning_rate_changes=");
  CHECK(gone.status == 2);
  CHECK(says(gone, "there is no 'learning_rate_changes' to remove"));
  const Outcome none = place.train("made.yaml --output none --set noise.mechanism=none");
  CHECK_MESSAGE(none.status == 0, none.errors);
  CHECK(says(none,
             "pixeldp: noise.construction_bound (not taken with noise.mechanism: none) falls "
             "away\n"));
  const Outcome typo = place.train(
      "made.yaml --output x --set training.learnig_rate=1 --set training.learning_rate=");
  CHECK(typo.status == 2);
  CHECK(says(typo, "unknown key 'training.learnig_rate': did you mean 'learning_rate'?"));
}

TEST_CASE("--show-config shows every key within 100 columns, and the values in force") {
  const TrainingWorkplace place;
  const Outcome all = place.train("--show-config");
  REQUIRE(all.status == 0);
  for (std::size_t begin = 0; begin < all.output.size();) {
    const std::size_t end = all.output.find('\n', begin);
    CHECK(end - begin <= 100);
    begin = end + 1;
  }
  const json described = json::parse(place.train("--show-config --json").output)["settings"];
  CHECK(described.size() > 35);
  for (const json& setting : described) {
    CHECK(all.output.find("  " + setting["key"].get<std::string>() + "\n") != std::string::npos);
    CHECK(!setting["meaning"].get<std::string>().empty());
  }

  const std::string with = "made.yaml --show-config --set training.batch=7";
  const Outcome mine = place.train(with);
  CHECK(mine.output.find("  training.batch = 7\n") != std::string::npos);
  CHECK(mine.output.find("  training.momentum = 0.9\n") != std::string::npos);
  std::map<std::string, std::set<json>> values;  // a key may be declared twice
  const json in_force = json::parse(place.train(with + " --json").output)["settings"];
  for (const json& setting : in_force) values[setting["key"]].insert(setting["value"]);
  CHECK(values["training.batch"] == std::set<json>{"7"});
  CHECK(values["noise.epsilon"] == std::set<json>{nullptr, "1"});
  CHECK(values["network.depth"] == std::set<json>{nullptr});
  CHECK(!std::filesystem::exists(place.folder / "runs"));
  CHECK(place.train("").status == 2);
}

TEST_CASE("what is asked for beyond use is capped, and what is worse than it looks is said") {
  const TrainingWorkplace place;
  const Outcome many =
      place.train("made.yaml --output run --set training.batch=999", "OMP_NUM_THREADS=5000");
  REQUIRE_MESSAGE(many.status == 0, many.errors);
  CHECK(says(many, "warning: OMP_NUM_THREADS asks for 5000 threads"));
  CHECK(says(many, "warning: training.batch: 999 is more than the 256 training images"));
  CHECK(!says(many, "noise in the image"));

  const Outcome worse = place.train(
      "made.yaml --output worse --set noise.mechanism=laplace --set "
      "noise.construction_bound=0.001");
  REQUIRE_MESSAGE(worse.status == 0, worse.errors);
  const std::string image_has = "where noise in the image (noise.after_layers: 0) has 28: ";
  CHECK(says(worse, "warning: the noise is made for a sensitivity of 79.2 before the noise, " +
                        image_has));
  CHECK(says(worse, "warning: the trained weights have a sensitivity of "));
  const Outcome image = place.train(
      "made.yaml --output image --set noise.mechanism=laplace --set "
      "noise.after_layers=0 --set sensitivity.control=none");
  REQUIRE_MESSAGE(image.status == 0, image.errors);
  CHECK(!says(image, "warning"));
}
