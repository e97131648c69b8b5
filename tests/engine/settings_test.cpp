#include "engine/settings.hpp"

#include <string>
#include <vector>

#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

const std::vector<Setting>& declared() {
  static const std::vector<Setting> all = {
      {.key = "title", .type = Setting::Text{}, .meaning = "A name."},
      {.key = "noise.kind",
       .type = Setting::Choice{{"none", "gauss", "laplace"}, "none"},
       .meaning = "The kind."},
      {.key = "noise.delta",
       .type = Setting::Number{Range::open(0, 1), 0.25},
       .meaning = "Small.",
       .taken = Setting::Condition{"noise.kind", {"gauss"}}},
      {.key = "noise.scale",
       .type = Setting::Number{Range::closed(0, 1)},
       .meaning = "At most 1.",
       .taken = Setting::Condition{"noise.kind", {"gauss"}}},
      {.key = "noise.scale",
       .type = Setting::Number{Range::at_least(0), 7},
       .meaning = "Any.",
       .taken = Setting::Condition{"noise.kind", {"laplace"}}},
      {.key = "steps", .type = Setting::Integer{1, 9}, .meaning = "A count."},
      {.key = "fast", .type = Setting::Flag{true}, .meaning = "Whether."},
      {.key = "changes", .type = Setting::List{}, .meaning = "Later ones."},
      {.key = "changes.*.step", .type = Setting::Integer{.min = 1}, .meaning = "From here."},
      {.key = "changes.*.rate", .type = Setting::Number{}, .meaning = "This."}};
  return all;
}

ConfigNode parsed(std::string_view text) { return ConfigNode::parse(text, "c.yaml"); }

}  // namespace

TEST_CASE("two texts of a setting are the same where their values are") {
  const Setting number{.key = "x", .type = Setting::Number{}, .meaning = "."};
  CHECK(number.same("0.1", "0.10"));
  CHECK(number.same("1e-1", "+0.1"));
  CHECK(!number.same("0.1", "0.11"));
  const Setting integer{.key = "x", .type = Setting::Integer{}, .meaning = "."};
  CHECK(integer.same("7", "+7"));
  CHECK(!integer.same("7", "70"));
  const Setting text{.key = "x", .type = Setting::Text{}, .meaning = "."};
  CHECK(text.same("a", "'a'"));
  CHECK(!text.same("0.1", "0.10"));
  const Setting choice{.key = "x", .type = Setting::Choice{{"1", "2"}}, .meaning = "."};
  CHECK(choice.same("2", "\"2\""));
  CHECK(!choice.same("1", "2"));
  const Setting flag{.key = "x", .type = Setting::Flag{}, .meaning = "."};
  CHECK(flag.same("true", "true"));
  CHECK(!flag.same("true", "false"));
}

TEST_CASE("settings are read as they are declared") {
  const ConfigNode root = parsed(
      "title: x\nnoise: {kind: laplace}\nsteps: 3\nchanges: [{step: 2, rate: 0.5}]\nfast: false\n");
  const Settings settings(root, declared());
  CHECK(settings.text("title") == "x");
  CHECK(settings.choice("noise.kind") == "laplace");
  CHECK(settings.number("noise.scale") == 7);  // the declaration that holds
  CHECK(settings.integer("steps") == 3);
  CHECK(!settings.flag("fast"));
  const auto changes = settings.list("changes");
  REQUIRE(changes.size() == 1);
  CHECK(settings.integer_of(changes[0], "changes", "step") == 2);
  CHECK(settings.number_of(changes[0], "changes", "rate") == 0.5);
  CHECK(settings.given("title"));
  CHECK(!settings.given("noise.scale"));
  CHECK(settings.find("noise.delta") == nullptr);
  CHECK_FAILS(settings.number("noise.delta"), "not declared as it is read");
  CHECK_FAILS(settings.flag("steps"), "not declared as it is read");
  CHECK_FAILS(settings.fail_at("noise.kind", "no"), "c.yaml:2:15: 'noise.kind': no");
  CHECK(root.text_of("noise.scale") == "7");
}

TEST_CASE(
    "an unknown key is named before a missing one, and a wrong choice before what it decides") {
  const auto refused = [](std::string_view text, const char* part) {
    CAPTURE(text);
    CHECK_FAILS(Settings(parsed(text), declared()), part);
  };
  refused("stepps: 3\n", "c.yaml:1:1: unknown key 'stepps': did you mean 'steps'?");
  refused("noise: {kind: gaus, delta: 0.5}\n",
          "'noise.kind' is 'gaus': expected one of none, gauss");
  refused("noise: {kind: laplace, delta: 0.5}\n",
          "c.yaml:1:31: 'noise.delta': it is not taken with noise.kind: laplace, only with gauss: "
          "remove it");
  refused("noise: {scale: 1}\n", "not taken with noise.kind: none, only with gauss, laplace");
  CHECK_FAILS(Settings(parsed(""), declared()).integer("steps"), "'steps' is missing");
  CHECK_FAILS(Settings(parsed("steps: 10"), declared()).integer("steps"), "from 1 to 9");
  CHECK_FAILS(Settings(parsed("noise: {kind: gauss, scale: 2}"), declared()).number("noise.scale"),
              "at most 1");
}

TEST_CASE("what the file gives falls away where the command line decides that it is not taken") {
  ConfigNode root = parsed("noise: {kind: gauss, delta: 0.5, scale: 1}\n");
  root.set("noise.kind=laplace");
  const Settings settings(root, declared());
  CHECK(settings.fallen_away() ==
        std::vector<std::string>{"noise.delta (not taken with noise.kind: laplace)"});
  CHECK(root.text_of("noise") == "{kind: laplace, scale: 1}");
  CHECK(Settings(root, declared()).fallen_away().empty());

  root.set("noise.delta=0.5");  // both from the command line: a contradiction
  CHECK_FAILS(Settings(root, declared()), "--set noise.delta: 'noise.delta': it is not taken");
}

TEST_CASE("a declaration says its range and its default in words") {
  std::string texts;
  for (const Setting& setting : declared())
    texts += setting.range_text() + "|" + setting.default_text() + "\n";
  CHECK(texts ==
        "a text|\n"
        "one of none, gauss, laplace|none\n"
        "a number above 0 and below 1|0.25\n"
        "a number of at least 0 and at most 1|\n"
        "a number of at least 0|7\n"
        "an integer from 1 to 9|\n"
        "true or false|true\n"
        "a list of mappings|[]\n"
        "an integer of at least 1|\n"
        "a number|\n");
  CHECK(Setting{.key = "k", .type = Setting::Text{}, .meaning = "", .otherwise = "that"}
            .default_text() == "that");
}

}  // namespace pixeldp
