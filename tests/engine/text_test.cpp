#include "engine/text.hpp"

#include <cstdint>

#include <doctest/doctest.h>

namespace pixeldp {

TEST_CASE("a text is split at every separator, and no part is left out") {
  using Parts = std::vector<std::string_view>;
  CHECK(split("", ',') == Parts{""});
  CHECK(split("a", ',') == Parts{"a"});
  CHECK(split(",a,,b:c,", ',') == Parts{"", "a", "", "b:c", ""});
}

TEST_CASE("a number is one from its first character to its last, and fits its type") {
  CHECK(parse_number<int>("-12") == -12);
  CHECK(parse_number<double>("1e-3") == 1e-3);
  CHECK(parse_number<std::uint32_t>("4294967295") == 4294967295u);
  for (const char* text : {"", " 1", "1 ", "+1", "1.5", "0x1", "4294967296", "-1", "one"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number<std::uint32_t>(text));
  }
}

}  // namespace pixeldp
