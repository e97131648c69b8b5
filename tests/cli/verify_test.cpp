#include <nlohmann/json.hpp>

#include "engine/io/safetensors.hpp"
#include "tests/cli/made_workplace.hpp"
#include "tests/log_text.hpp"

/// Logs that anybody can check: draws made again, looks that were reserved, lines that are not what
/// was drawn, and conditions that are not the log's.

using namespace pixeldp;
using namespace pixeldp::tests;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A trained run with the log of its 32 test images; every test leaves both as they are.
struct CertifiedTwice : MadeWorkplace {
  const std::string certify = "certify run --data . --draws 20 ";
  CertifiedTwice() {
    done("train made.yaml --output run --set training.steps=12");
    done(certify);
    done(certify + "--selection-draws 5 --scores softmax --images :8 --output run/selected");
  }
  std::string log() const { return text_of(folder / "run/certificates.jsonl"); }
  /// A log in the run's folder, with a chain that fits.
  void put(const char* name, const std::string& text) const {
    write_file_atomically(folder / "run" / name, rechained(text));
  }
  /// Refused by name, and the log stays as it was.
  void keeps(const std::string& arguments, const char* log, const std::string& part,
             int status = 1) const {
    const std::string before = text_of(folder / log);
    refused(arguments, part, status);
    CHECK(text_of(folder / log) == before);
  }
};

const CertifiedTwice& certified_twice() {
  static const CertifiedTwice place;
  return place;
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// Gives one vote of another label to the predicted one, on the first line where there is any.
std::string with_flipped_vote(const std::string& log, std::int64_t& image) {
  std::istringstream lines(log);
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);) {
    const json record = json::parse(line);
    json votes = record["votes"];
    const auto top = record["prediction"].get<std::size_t>();
    for (std::size_t c = 0; c < votes.size(); ++c) {
      if (c == top || votes[c] == 0) continue;
      const auto text = [&] {
        return fmt::format("[{}]", fmt::join(votes.get<std::vector<int>>(), ", "));
      };
      const std::string before = text();
      votes[c] = votes[c].get<int>() - 1;
      votes[top] = votes[top].get<int>() + 1;
      image = record["image"];
      return with(log, line, with(line, before, text()));
    }
  }
  FAIL("all draws agree on all images");
  return log;
}

}  // namespace

TEST_CASE("verify draws again, and finds a single forged vote") {
  const CertifiedTwice& place = certified_twice();
  const json all =
      json::parse(place.done("verify run/certificates.jsonl --data . --fraction 1 --json"));
  CHECK(all["drawn_again"].size() == 32);
  CHECK(all["draws"] == 32 * 20);
  CHECK(all["chance_to_escape"] == 0.0);
  const std::string some = place.done("verify run/certificates.jsonl --data . --fraction 0.1");
  CHECK(some.find("drawn again       4 of 32 images, 80 draws: every integer is the log's") !=
        std::string::npos);
  CHECK(some.find("escapes this check with probability 0.875") != std::string::npos);
  CHECK(place.done("verify run/selected --data . --fraction 1").find("8 of 8 images, 200 draws") !=
        std::string::npos);
  // What another rule makes of the counts changes nothing in how they are drawn.
  place.done("recertify run/selected --scores argmax --output run/by-votes");
  place.done("verify run/by-votes --data . --fraction 1");
  write_file_atomically(place.folder / "run/old", in_format_1(place.log()));
  place.done("verify run/old --data . --fraction 1");

  std::int64_t image = -1;
  const std::string forged = with_flipped_vote(place.log(), image);
  write_file_atomically(place.folder / "run/forged", forged);
  place.keeps("verify run/forged --data . --fraction 1", "run/forged", "the chain breaks here");
  place.put("forged", forged);
  place.keeps("verify run/forged --data . --fraction 1", "run/forged",
              "1 of 32 images that were drawn again have other lines:\nimage " +
                  std::to_string(image) + ": votes [");
  const std::string sums = "\"sums\": [";
  std::string other = place.log();
  char& digit = other[other.find(',', other.find(sums)) - 1];
  digit = digit == '9' ? '8' : '9';
  place.put("forged", other);
  place.refused("verify run/forged --data . --fraction 1", "image 0: sums [", 1);
  // The seed decides all.
  place.put("forged", with(place.log(), "\"seed\":1,", "\"seed\":2,"));
  place.refused("verify run/forged --data . --fraction 1", "other lines", 1);
  place.refused("verify run/certificates.jsonl --data . --fraction 0", "--fraction 0", 2);
  place.refused("verify run/certificates.jsonl --data . --fraction 1.5", "--fraction 1.5", 2);
}

TEST_CASE(
    "a log of another model, data set, function or calibration is refused by name, untouched") {
  const CertifiedTwice& place = certified_twice();
  place.done("train made.yaml --output other --set training.steps=4");
  const char* log = "run/certificates.jsonl";
  const std::string resume = " --data . --draws 20 --resume --output run/certificates.jsonl";
  place.keeps("verify run/certificates.jsonl --run other --data .", log,
              "the log is of another model: its model_sha256 is ");
  place.keeps("certify other" + resume, log, "model_sha256: ");
  place.keeps("certify run --seed 2" + resume, log, "seed: 1 and 2");
  place.keeps("certify run --scores softmax" + resume, log, "score_type: ");
  place.keeps("certify run --looks 50" + resume, log, "ledger: ");
  place.keeps("certify run --selection-draws 3" + resume, log, "selection_draws: 0 and 3");

  // Another function than this device's.
  place.put("function",
            with(place.log(), "\"algorithm\":\"winograd\"", "\"algorithm\":\"tensor-core\""));
  place.keeps("certify run --data . --draws 20 --resume --output run/function", "run/function",
              "algorithm: \"tensor-core\" and \"winograd\"");
  place.keeps("verify run/function --data .", "run/function", "algorithm: \"tensor-core\" and");
  // Another noise than the model's.
  std::string calibration = place.log();
  const std::size_t scale = calibration.find("\"noise_scale\":") + 14;
  calibration.resize(calibration.find('\n') + 1);
  calibration.replace(scale, calibration.find(',', scale) - scale, "0.125");
  place.put("calibration", calibration);
  place.keeps("certify run --data . --draws 20 --resume --output run/calibration",
              "run/calibration", "noise_scale: 0.125 and ");
  // Other images.
  const fs::path images = place.folder / "t10k-images-idx3-ubyte";
  const std::string whole = text_of(images);
  std::string changed = whole;
  changed.back() ^= 1;
  write_file_atomically(images, changed);
  place.keeps("certify run" + resume, log, "dataset_sha256: ");
  place.keeps("verify run/certificates.jsonl --data .", log, "dataset_sha256: ");
  write_file_atomically(images, whole);

  // A preprocessing between the attack and the noise that the sensitivity does not account for.
  fs::copy(place.folder / "run", place.folder / "standardised");
  SafetensorsFile model = read_safetensors(place.folder / "standardised/model.safetensors");
  model.metadata["standardise"] = "image";
  write_safetensors(place.folder / "standardised/model.safetensors", model);
  place.keeps("certify standardised --data . --draws 20 --resume",
              "standardised/certificates.jsonl", "records a sensitivity of ");

  // Lines that stand twice, the same or not.
  const std::string text = place.log();
  const std::size_t second = text.find('\n') + 1, third = text.find('\n', second) + 1;
  const std::string line = text.substr(second, third - second);
  for (const std::string& again : {line, with(line, "\"label\": 0", "\"label\": 1")}) {
    place.put("twice", text + again);
    for (const char* command : {"certify run --data . --draws 20 --resume --output run/twice",
                                "verify run/twice --data .", "merge run/twice --output x",
                                "recertify run/twice --output x"})
      place.keeps(command, "run/twice", "run/twice:34: image 0 is on line 2 already");
  }
  place.put("relabelled", with(text, "\"label\": 0", "\"label\": 1"));
  place.keeps("merge run/certificates.jsonl run/relabelled --output x", log,
              "run/relabelled:2: image 0 has another line than in run/certificates.jsonl:2");
  CHECK_FALSE(fs::exists(place.folder / "x"));
}

TEST_CASE(
    "more draws, and other rules, are certificates where alpha was reserved, and only there") {
  const CertifiedTwice& place = certified_twice();
  const std::string some = " --images :12 --data . --output ";
  place.done("certify run --draws 20 --looks 50,softmax" + some + "looks");
  const std::string before = text_of(place.folder / "looks");
  CHECK(place.done("recertify looks --output x1").find(" in one of 3 looks, 20 draws") !=
        std::string::npos);
  CHECK(text_of(place.folder / "x1") == before);
  const Outcome reserved = place.run("recertify looks --scores softmax --output soft");
  CHECK(reserved.status == 0);
  CHECK(reserved.errors.empty());
  place.done("certify run --draws 20 --scores softmax --looks 20:argmax,50:argmax" + some +
             "soft2");
  CHECK(text_of(place.folder / "soft") == text_of(place.folder / "soft2"));
  for (const char* options :
       {"--alpha 0.001", "--bound hoeffding", "--scores softmax --bound hoeffding"}) {
    const Outcome explored =
        place.run(fmt::format("recertify looks {} --output explored", options));
    CHECK(explored.status == 0);
    CHECK(explored.errors.find("this is an exploration") != std::string::npos);
    CHECK(explored.output.find("(an exploration: chosen when the counts were known)") !=
          std::string::npos);
    fs::remove(place.folder / "explored");
  }

  place.keeps("certify run --extend 31 --data . --output looks", "looks",
              "no alpha was reserved for a look at 51 draws");
  place.keeps("certify run --extend 30 --draws 20 --data . --output looks", "looks", "excludes", 2);
  place.keeps("certify run --extend 0 --data . --output looks", "looks", "--extend", 2);
  place.refused("certify run --extend 30 --data . --output nothing", "no log to extend", 1);
  // What there is of an extension that was killed is gone on with.
  place.done("certify run --draws 50 --looks 20,20:softmax" + some + "extended");
  const std::string extended = text_of(place.folder / "extended");
  for (const bool begun : {false, true}) {
    write_file_atomically(place.folder / "looks", before);
    if (begun) {
      write_file_atomically(place.folder / "looks.extended",
                            extended.substr(0, extended.size() / 2));
      place.keeps("certify run --extend 30 --data . --output looks", "looks", "--resume");
    }
    const json report =
        json::parse(place.done("certify run --extend 30 --resume --json --data . --output looks"));
    CHECK((report["new_draws"] == 12 * 30) == !begun);
    CHECK(report["draws"] == 50);
    CHECK(text_of(place.folder / "looks") == extended);
    CHECK_FALSE(fs::exists(place.folder / "looks.extended"));
  }
  // With labels that separate draws chose.
  const std::string selected = " --selection-draws 4 --scores softmax";
  place.done("certify run --draws 20 --looks 30" + selected + some + "chosen");
  place.done("certify run --draws 30 --looks 20" + selected + some + "chosen-at-once");
  place.done("certify run --extend 10 --data . --output chosen");
  CHECK(text_of(place.folder / "chosen") == text_of(place.folder / "chosen-at-once"));
  place.refused("certify run --draws 20 --looks 20 --data . --output x", "is there twice", 2);
  place.refused("certify run --draws 20 --looks soft --data . --output x", "no part of a look", 2);
}

TEST_CASE("counts of other programs are certified anew, and marked") {
  const CertifiedTwice& place = certified_twice();
  write_file_atomically(place.folder / "eval_data.json",
                        std::string_view(R"({"argmax_sum": [[490, 10], [250, 250]],)"
                                         R"( "pred_truth_argmax": [true, false],)"
                                         R"( "sensitivity_mult_used": 1.0})"));
  const Outcome eval = place.run(
      "recertify eval_data.json --sigma 0.2537 --certificate pixeldp --output eval --json");
  REQUIRE_MESSAGE(eval.status == 0, eval.errors);
  CHECK(eval.errors.find("does not record whether its rule was chosen before") !=
        std::string::npos);
  CHECK(json::parse(eval.output)["accuracy"] == 0.5);
  CHECK(text_of(place.folder / "eval").find("\"source\":\"eval-data\"") != std::string::npos);
  place.refused("recertify eval_data.json --output x", "--sigma", 2);
  place.refused("verify eval --run run --data .", "its counts are of another program (eval-data)",
                1);
  write_file_atomically(place.folder / "cohen",
                        std::string_view("idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
                                         "0\t3\t3\t0.953\t1\t0:00:14.2\n"));
  const std::string of_cohen = "recertify cohen --sigma 0.25 --draws 100000 --output cohen.jsonl";
  place.refused(of_cohen, "--alpha", 2);
  place.done(of_cohen + " --alpha 0.001");
  CHECK(text_of(place.folder / "cohen.jsonl").find("\"votes\": [0, 0, 0, 100000]") !=
        std::string::npos);
  place.refused("recertify cohen --sigma 0.2 --draws 100000 --alpha 0.001 --output x",
                "cohen:2: no number of votes", 1);
}
