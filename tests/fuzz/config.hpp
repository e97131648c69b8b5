#pragma once

#include <optional>

#include "engine/config.hpp"
#include "tests/fuzz/accept.hpp"

namespace pixeldp::fuzz {

/// The input is a configuration, and an override of another one.
inline void config(ByteView input) {
  accept([&] {
    ConfigNode base = ConfigNode::parse("a: {b: [1, {c: 2}], d: }\n", "base");
    base.set(as_text(input));
    require(ConfigNode::parse(base.to_yaml(), "again").to_yaml() == base.to_yaml());
  });

  const ConfigNode node = ConfigNode::parse(as_text(input), "input");
  // What the program wrote it must understand.
  std::optional<std::string> again;
  try {
    again = ConfigNode::parse(node.to_yaml(), "again").to_yaml();
  } catch (const Error&) {
  }
  require(again == node.to_yaml());

  for (const char* key : {"a", "b", "c"}) {
    accept([&] { node.get_number(key, 1.0, Range::above(0)); });
    accept([&] { node.get_integer(key, 1, 0, 9); });
    accept([&] { node.get_bool(key, true); });
    accept([&] { node.get_string(key, "x"); });
    accept([&] { node.get_choice(key, {"x", "y"}, "x"); });
    accept([&] { node.get_values(key); });
    accept([&] { node.child(key).get_integer("d", 4); });
    accept([&] {
      for (const ConfigNode& element : node.children(key)) element.get_string("e");
    });
  }
  accept([&] { node.reject_unknown({"a", "b.*.e", "c.d"}); });
  accept([&] { node.text_of("b.d"); });
}

}  // namespace pixeldp::fuzz
