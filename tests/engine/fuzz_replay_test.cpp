#include <doctest/doctest.h>

#include "tests/fuzz/cifar.hpp"
#include "tests/fuzz/config.hpp"
#include "tests/fuzz/gzip.hpp"
#include "tests/fuzz/idx.hpp"
#include "tests/fuzz/jpeg.hpp"
#include "tests/fuzz/png.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/fuzz/safetensors.hpp"
#include "tests/fuzz/svhn.hpp"

namespace pixeldp::fuzz {

TEST_CASE("the engine's readers take or refuse every input of their fuzzers") {
  replay("idx", idx);
  replay("cifar", cifar);
  replay("svhn", svhn);
  replay("gzip", gzip);
  replay("safetensors", safetensors);
  replay("config", config);
  replay("png", png);
  replay("jpeg", jpeg);
}

}  // namespace pixeldp::fuzz
