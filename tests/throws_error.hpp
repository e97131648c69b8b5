#pragma once

#include <string>

#include <doctest/doctest.h>

#include "engine/error.hpp"

/// The expression throws an Error whose text contains `part`.
#define CHECK_FAILS(expression, part)                                                    \
  CHECK_THROWS_WITH_AS((void)(expression), doctest::Contains(std::string(part).c_str()), \
                       ::pixeldp::Error)
