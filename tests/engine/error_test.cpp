#include "engine/error.hpp"

#include <doctest/doctest.h>

namespace pixeldp {

TEST_CASE("an error carries its text and the exit status of its kind") {
  try {
    fail("cannot read '{}' at offset {}", "a.bin", 7);
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "cannot read 'a.bin' at offset 7");
    CHECK(error.kind() == Error::Kind::failure);
    CHECK(static_cast<int>(error.kind()) == 1);
  }
  try {
    fail_usage("unknown bound '{}'", "{}");  // braces in an argument are text
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "unknown bound '{}'");
    CHECK(error.kind() == Error::Kind::usage);
    CHECK(static_cast<int>(error.kind()) == 2);
  }
  CHECK_THROWS_AS(fail("x"), Error);
  CHECK_THROWS_AS(fail_usage("x"), std::runtime_error);
}

}  // namespace pixeldp
