#include "engine/config.hpp"

#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/io/file.hpp"
#include "tests/temporary_folder.hpp"
#include "tests/throws_error.hpp"

namespace pixeldp {
namespace {

ConfigNode parse(std::string_view text) { return ConfigNode::parse(text, "c.yaml"); }

}  // namespace

TEST_CASE("settings are read with their types") {
  const ConfigNode config = parse(R"(# a comment
dataset: fashion-mnist
noise: {kind: gaussian, scale: 2.5e-1, on: true}
training:
  epochs: 12
  seed: -9223372036854775808
  title: "12"
  steps: [10, 20, +30]
  rates: [1, .5, 1e-3]
layers:
  - {type: conv, size: 3}
  - type: dense
)");
  CHECK(config.get_string("dataset") == "fashion-mnist");
  const ConfigNode noise = config.child("noise");
  CHECK(noise.get_choice("kind", {"gaussian", "laplace"}) == "gaussian");
  CHECK(noise.get_number("scale") == 0.25);
  CHECK(noise.get_bool("on") == true);
  const ConfigNode training = config.child("training");
  CHECK(training.get_integer("epochs") == 12);
  CHECK(training.get_number("epochs") == 12.0);
  CHECK(training.get_integer("seed") == std::numeric_limits<std::int64_t>::min());
  CHECK(training.get_string("title") == "12");
  CHECK(training.get_values("steps") == std::vector<std::string>{"10", "20", "+30"});
  CHECK(training.get_values("rates") == std::vector<std::string>{"1", ".5", "1e-3"});
  const auto layers = config.children("layers");
  REQUIRE(layers.size() == 2);
  CHECK(layers[0].get_string("type") == "conv");
  CHECK(layers[0].get_integer("size") == 3);
  CHECK(layers[1].get_string("type") == "dense");
}

TEST_CASE("a fallback stands in for what is not given and becomes part of the configuration") {
  const ConfigNode config = parse("a: {x: 1}\n");
  CHECK(config.get_number("rate", 0.1) == 0.1);
  CHECK(config.get_integer("epochs", 5) == 5);
  CHECK(config.get_bool("augment", false) == false);
  CHECK(config.get_string("name", "true") == "true");
  CHECK(config.get_choice("bound", {"hoeffding", "exact"}, "exact") == "exact");
  CHECK(config.child("a").get_integer("x", 7) == 1);
  CHECK(config.child("b").child("c").get_integer("y", 7) == 7);
  CHECK(config.children("layers").empty());
  CHECK_FALSE(config.given("rate"));
  CHECK(config.get_number("rate") == 0.1);  // it has a value now
  CHECK(config.get_values("layers").empty());
  CHECK_FALSE(config.given("b"));
  CHECK(config.given("a"));
  CHECK(config.get_number("rate", 0.2) == 0.2);  // a fallback does not pass for a given value
  CHECK(config.to_yaml() == R"(a:
  x: 1
rate: 0.2
epochs: 5
augment: false
name: true
bound: exact
b:
  c:
    y: 7
layers: []
)");
}

TEST_CASE("the resolved configuration reads back to the same values") {
  const ConfigNode config =
      parse("text: \"a: 'b' # c\"\nempty: ''\nword: 'null'\nlong: |\n  x\n  y\n");
  const double third = config.get_number("third", 1.0 / 3.0);
  const double tiny = config.get_number("tiny", 5e-324);
  const double large = config.get_number("large", 1.7976931348623157e308);
  config.get_string("path", "C: #not a comment");
  const ConfigNode again = parse(config.to_yaml());
  CHECK(again.get_string("text") == "a: 'b' # c");
  CHECK(again.get_string("empty") == "");
  CHECK(again.get_string("word") == "null");
  CHECK(again.get_string("long") == "x\ny\n");
  CHECK(again.get_number("third") == third);
  CHECK(again.get_number("large") == large);
  CHECK(again.get_string("path") == "C: #not a comment");
  CHECK(tiny == 5e-324);
  CHECK(again.to_yaml() == config.to_yaml());
}

TEST_CASE("a wrong type names file, line, column and dotted key") {
  const ConfigNode config = parse("a:\n  n: 1x\n  q: '3'\n  l: [1, two]\n  e:\n  m: {k: 1}\n");
  const ConfigNode a = config.child("a");
  CHECK_FAILS(a.get_number("n"), "c.yaml:2:6: 'a.n' is '1x': expected a number");
  CHECK_FAILS(a.get_integer("n"), "c.yaml:2:6: 'a.n' is '1x': expected an integer");
  CHECK_FAILS(a.get_bool("n"), "expected true or false");
  CHECK_FAILS(a.get_number("q"), "c.yaml:3:6: 'a.q' is the text '3': expected a number");
  CHECK_FAILS(a.get_number("l"), "'a.l' is a list: expected a number");
  CHECK_FAILS(a.get_number("e"), "'a.e' is empty: expected a number");
  CHECK_FAILS(a.get_string("e"), "'a.e' is empty: expected a text");
  CHECK_FAILS(a.get_string("m"), "'a.m' is a mapping: expected a text");
  CHECK_FAILS(a.get_values("n"), "c.yaml:2:6: 'a.n' is '1x': expected a list");
  CHECK_FAILS(a.get_values("none"), "'a.none' is missing");
  CHECK_FAILS(a.child("n"), "c.yaml:2:6: 'a.n' is '1x': expected a mapping");
  CHECK_FAILS(a.children("m"), "'a.m' is a mapping: expected a list of mappings");
  CHECK_FAILS(a.children("l"), "'a.l.0' is '1': expected a mapping");
  CHECK_FAILS(a.get_number("none"), "'a.none' is missing");
  CHECK_FAILS(config.child("b").get_number("none"), "c.yaml:1:1: the setting 'b.none' is missing");
  try {
    a.get_number("n");
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::usage);
  }
}

TEST_CASE("numbers: only whole, finite decimal ones in range") {
  const auto number = [](const std::string& text, Range range = {}) {
    return parse("x: " + text).get_number("x", {}, range);
  };
  const auto integer = [](const std::string& text, std::int64_t min, std::int64_t max) {
    return parse("x: " + text).get_integer("x", {}, min, max);
  };
  CHECK(number("-0.5") == -0.5);
  for (const std::string wrong :
       {".nan", "nan", ".inf", "-.inf", "inf", "infinity", "1e999", "0x10", "1,5", "1_000", "1 2",
        "--1", "+-1", "true", "''", "1e", "++1"}) {
    CAPTURE(wrong);
    CHECK_FAILS(number(wrong), "expected a number");
  }
  for (const std::string wrong : {"1.0", "1e3", "9223372036854775808", "0x1", "1_0", "a", "''"}) {
    CAPTURE(wrong);
    CHECK_FAILS(integer(wrong, INT64_MIN, INT64_MAX), "expected an integer");
  }
  CHECK(number("0", Range::at_least(0)) == 0);
  CHECK_FAILS(number("-1e-9", Range::at_least(0)), "expected a number of at least 0");
  CHECK(number("1e-300", Range::above(0)) > 0);
  CHECK_FAILS(number("0", Range::above(0)), "expected a number above 0");
  CHECK(number("1", Range::closed(0, 1)) == 1);
  CHECK_FAILS(number("1.0001", Range::closed(0, 1)), "of at least 0 and at most 1");
  CHECK_FAILS(number("1", Range::open(0, 1)), "above 0 and below 1");
  CHECK_FAILS(number("0", Range::open(0, 1)), "above 0 and below 1");
  CHECK_FAILS(number("7", {.max = 5}), "expected a number at most 5");
  CHECK(integer("3", 3, 3) == 3);
  CHECK_FAILS(integer("2", 3, 5), "an integer from 3 to 5");
  CHECK_FAILS(integer("6", 3, 5), "an integer from 3 to 5");
  CHECK_FAILS(integer("0", 1, INT64_MAX), "an integer of at least 1");
  CHECK_FAILS(parse("x: 7").get_choice("x", {"a", "b"}),
              "c.yaml:1:4: 'x' is '7': expected one of a, b");
}

TEST_CASE("unknown keys are refused, with the nearest known one") {
  const std::vector<std::string> known = {"name", "noise.epsilon", "noise.delta", "noise.scale",
                                          "layers.*.size"};
  const auto refused = [&](std::string_view text, const std::string& part) {
    CAPTURE(text);
    CHECK_FAILS(parse(text).reject_unknown(known), part);
  };
  CHECK_NOTHROW(parse("name: x\nnoise: {delta: 1}\nlayers: [{size: 1}]\n").reject_unknown(known));
  CHECK_NOTHROW(parse("").reject_unknown(known));
  refused("noise:\n  epsilom: 1\n",
          "c.yaml:2:3: unknown key 'noise.epsilom': did you mean 'epsilon'?");
  refused("noise: {zzz: 2}\n", "unknown key 'noise.zzz': known here: epsilon, delta, scale");
  refused("layers: [{size: 1}, {sise: 2}]\n", "'layers.1.sise': did you mean 'size'?");
  refused("nam: x\n", "c.yaml:1:1: unknown key 'nam': did you mean 'name'?");
  // In the wrong place, by its dotted name, or without the blank.
  refused("delta: 1\n", "unknown key 'delta': did you mean 'noise.delta'?");
  refused("noise.delta: 1\n", "write 'delta' below 'noise:'");
  refused("noise: {delta:1}\n", "'noise.delta:1': there is no blank after the colon");
  CHECK_FAILS(parse("a: 1\n").reject_unknown({}), "no key is known here");
}

TEST_CASE("set overrides before reading") {
  ConfigNode config = parse("a: {x: 1, y: 2}\nlayers: [{n: 1}, {n: 2}]\nempty:\n");
  config.set("a.x=10");
  config.set("b.c.d=text = with equals");
  config.set("layers.1.n=20");
  config.set("steps=[1, 2]");
  config.set("empty.z=3");
  CHECK(config.child("a").get_integer("x") == 10);
  CHECK(config.child("a").get_integer("y") == 2);
  CHECK(config.child("b").child("c").get_string("d") == "text = with equals");
  CHECK(config.children("layers")[0].get_integer("n") == 1);
  CHECK(config.children("layers")[1].get_integer("n") == 20);
  CHECK(config.get_values("steps") == std::vector<std::string>{"1", "2"});
  CHECK(config.child("empty").get_integer("z") == 3);

  config.set("a.y=many");
  CHECK_FAILS(config.child("a").get_integer("y"),
              "--set a.y: 'a.y' is 'many': expected an integer");
  config.set("a.z=1");
  CHECK_FAILS(config.child("a").reject_unknown({"a.x", "a.y"}), "--set a.z: unknown key 'a.z'");
  CHECK(config.overridden("a.z"));
  config.set("group={low: 1}");
  CHECK(config.overridden("group.low"));
  CHECK_FALSE(config.overridden("layers.0.n"));
  CHECK(config.text_of("b.c.d") == "\"text = with equals\"");
  CHECK(config.text_of("layers") == "[{n: 1}, {n: 20}]");
  CHECK(config.text_of("a.none") == std::nullopt);

  config.set("a.z=");
  CHECK_FALSE(config.child("a").given("z"));
  config.set("layers.0=");
  CHECK(config.text_of("layers") == "[{n: 20}]");
  config.set("a=  ");
  CHECK_FALSE(config.given("a"));
  CHECK_FAILS(config.set("a="), "--set a: there is no 'a' to remove");
  CHECK_FAILS(config.set("b.none.x="), "--set b.none.x: there is no 'none' to remove");
  CHECK_FALSE(config.child("b").given("none"));

  for (const std::string wrong : {"", "a", "=1"}) {
    CAPTURE(wrong);
    CHECK_FAILS(config.set(wrong), "write KEY=VALUE");
  }
  config.set("a={x: 1}");
  CHECK_FAILS(config.set("a..x=1"), "empty part");
  CHECK_FAILS(config.set("a.=1"), "empty part");
  CHECK_FAILS(config.set("a.x.y=1"), "--set a.x.y: there is no 'y' below '1'");
  config.set("layers=[{n: 1}, {n: 2}]");
  CHECK_FAILS(config.set("layers.2.n=1"), "'2' is not an element of the list");
  CHECK_FAILS(config.set("layers.n=1"), "'n' is not an element of the list");
  CHECK_FAILS(config.set("a.x=[1"), "--set a.x: ");
}

TEST_CASE("what is no plain YAML mapping is refused with its place") {
  CHECK_FAILS(parse("a: 1\nb: [1, 2\n"), "c.yaml:");
  CHECK_FAILS(parse("a: 1\n b: 2\n"), "c.yaml:2:3: ");
  CHECK_FAILS(parse("a: b: c"), "c.yaml:1:5: ");
  CHECK_FAILS(parse("a: 1\nb: 2\na: 3\n"),
              "c.yaml:3:1: the key 'a' is there already, at c.yaml:1:1");
  CHECK_FAILS(parse("x: {k: 1, k: 2}"), "c.yaml:1:11: the key 'k' is there already");
  CHECK_FAILS(parse("a: &anchor 1\nb: *anchor\n"), "c.yaml:1:4: anchors are not supported");
  CHECK_FAILS(parse("a: !!float 1"), "tags are not supported");
  CHECK_FAILS(parse("[a]: 1"), "a key must be text");
  CHECK_FAILS(parse("{a: 1}: 1"), "a key must be text");
  CHECK_FAILS(parse("~: 1"), "a key must be text");
  CHECK_FAILS(parse("- 1\n- 2\n"), "this is a list");
  CHECK_FAILS(parse("just text"), "this is 'just text'");
  CHECK_FAILS(parse("a: 1\n---\nb: 2\n"), "more than one YAML document");
  CHECK_FAILS(parse("a: " + std::string(40, '[') + std::string(40, ']')), "nested deeper than 32");
  CHECK_FAILS(parse(std::string(2 << 20, ' ')), "exceeds the limit");
  for (const std::string empty : {"", "\n", "# only a comment\n", "---\n"}) {
    CAPTURE(empty);
    CHECK(parse(empty).get_integer("x", 3) == 3);
  }
  CHECK_FAILS(parse("").get_integer("x"), "c.yaml: the setting 'x' is missing");
}

TEST_CASE("what an author of YAML gets wrong is called by its name, on its line") {
  const std::string place = "c.yaml:3:";
  CHECK_FAILS(parse("a: 1\nt:\n\ts: 2\n  b: 1\n"), place + "1: the line is indented by a tab");
  CHECK_FAILS(parse("t:\n  s: 1\n\tb: 2\n"), place + "1: the line is indented by a tab");
  CHECK_FAILS(parse("t:\n  s: 1\n  \tb: 2\n"), place + "3: the line is indented by a tab");
  const std::string colon = "there is no blank after the colon";
  CHECK_FAILS(parse("t:\n  s: 1\n  rate:0.1\n  e: 2\n"), place + "7: " + colon);
  CHECK_FAILS(parse("t:\n  s: 1\n  rate:0.1\nu: 2\n"), place + "7: " + colon);
  CHECK_FAILS(parse("rate:0.1\nu: 2\n"), "c.yaml:1:5: " + colon);
  CHECK_FAILS(parse("rate:0.1\n"), "c.yaml:1:1: a configuration is a mapping of keys to values");
  CHECK_FAILS(parse("rate:0.1\n"), colon);
  CHECK_FAILS(parse("t:\n  s:1\n").child("t"),
              "c.yaml:2:3: 't' is 's:1': expected a mapping; " + colon);
  CHECK_FAILS(parse("t:\n  s: 1\n  rate:0.1\n").reject_unknown({"t.s", "t.rate"}),
              place + "3: unknown key 't.rate:0.1': " + colon);
  CHECK_FAILS(parse("t:\n  s: 1\n    b: 2\n"), place + "6: no key may stand here");
  CHECK_FAILS(parse("t:\n  s: 1\n b: 2\n"), place + "2: the line is indented unlike those above");
  CHECK_FAILS(parse("a: 'x\nb: 2\nc: 'y'\n"), "a quotation above it does not end");
  CHECK_FAILS(parse("a: [1, 2\nb: 3\n"), "a [ or { above does not end");
  CHECK_FAILS(parse("a: {b: 1\n"), "a [ or { above does not end");
  // Tabs and colons where YAML takes them.
  CHECK(parse("a:\t1\n").get_integer("a") == 1);
  CHECK(parse("a: http://b:80\n").get_string("a") == "http://b:80");
}

TEST_CASE("texts of other encodings and systems are called by their name, on their line") {
  using namespace std::literals;
  CHECK_FAILS(parse("\xff\xfe"
                    "a\0:\0"sv),
              "c.yaml:1:1: the text is UTF-16: save it as UTF-8");
  CHECK_FAILS(parse("\xfe\xff"
                    "\0a\0:"sv),
              "UTF-16");
  CHECK_FAILS(parse("a\0:\0 \0001\0"sv), "UTF-16");
  CHECK_FAILS(parse("\0a\0:"sv), "UTF-16");
  CHECK_FAILS(parse("\xff\xfe\0\0a\0\0\0"sv), "UTF-32");
  CHECK_FAILS(parse("a: 1\nb: \xc3\xa9t\xe9\n"),
              "c.yaml:2:6: the byte 0xe9 is not UTF-8, is the text Latin-1?");
  CHECK_FAILS(parse("# \xc0\xaf\n"), "c.yaml:1:3: the byte 0xc0 is not UTF-8");  // overlong
  CHECK_FAILS(parse("# \xed\xa0\x80\n"), "the byte 0xed");                       // a surrogate
  CHECK_FAILS(parse("# \xf4\x90\x80\x80\n"), "the byte 0xf4");                   // beyond Unicode
  CHECK_FAILS(parse("# \xe2\x82"), "the byte 0xe2");                             // cut off
  CHECK_FAILS(parse("a: 1\rb: 2\r"), "c.yaml:1:5: the line ends with CR alone");
  CHECK_FAILS(parse("a: 1\n\xef\xbb\xbf"
                    "b: 2\n"),
              "c.yaml:2:1: a byte order mark");
  CHECK_FAILS(parse("a: 1\nb: \x01\n"), "c.yaml:2:4: the control character 0x01");
  CHECK_FAILS(ConfigNode(parse("a: 1")).set("a=\xe9"), "--set: the byte 0xe9");
  // UTF-8 with a mark in front and lines of Windows is what others write.
  CHECK(parse("\xef\xbb\xbf"
              "a: 1\r\nb: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\r\n")
            .get_string("b") == "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST_CASE("fail_at points at the value or the mapping that lacks it") {
  const ConfigNode config = parse("a:\n  low: 3\n");
  CHECK_FAILS(config.child("a").fail_at("low", "must be below 'high'"),
              "c.yaml:2:8: 'a.low': must be below 'high'");
  CHECK_FAILS(config.child("a").fail_at("high", "must be above 'low'"), "c.yaml:2:3: 'a.high'");
}

TEST_CASE("load names the file") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "run.yaml", std::string_view("a: x\n"));
  CHECK_FAILS(ConfigNode::load(folder / "run.yaml").get_integer("a"), "run.yaml:1:4: 'a' is 'x'");
  CHECK_FAILS(ConfigNode::load(folder / "none.yaml"), "none.yaml': No such file");
}

}  // namespace pixeldp
