#include "pixeldp/attacks/image_log.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/temporary_folder.hpp"
#include "tests/text_of.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {

TEST_CASE("an attack log without images is begun anew, and any other file stays as it is") {
  using Json = nlohmann::ordered_json;
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "attacks.jsonl";
  const auto image_of = [](const Json& line) { return line.at("image").get<std::int64_t>(); };
  const auto begin = [&](int seed, bool resume = false) {
    return ImageLog(path, {{"attack", "pgd"}, {"seed", seed}}, resume, image_of);
  };
  begin(1);
  const std::string first = tests::text_of(path);
  begin(2).append({{"image", 7}});
  const std::string second = tests::text_of(path);
  CHECK(second == "{\"attack\":\"pgd\",\"seed\":2}\n{\"image\":7}\n");
  for (const std::string& text : {second, first.substr(0, 9), std::string("mine\n")}) {
    CAPTURE(text);
    write_file_atomically(path, text);
    CHECK_FAILS(begin(1), "there is an attack log already");
    CHECK(tests::text_of(path) == text);
  }
  write_file_atomically(path, std::string_view("mine"));
  CHECK_FAILS(begin(1, true), "this is not an attack log");
  CHECK(tests::text_of(path) == "mine");
  write_file_atomically(path, first.substr(0, 9));  // killed at its first line
  begin(1, true);
  CHECK(tests::text_of(path) == first);
}

}  // namespace pixeldp
