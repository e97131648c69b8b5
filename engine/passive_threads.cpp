#include "engine/passive_threads.hpp"

#include <cstdlib>

#include <unistd.h>

namespace pixeldp {

void wait_passively(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  if (::setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
  ::execv("/proc/self/exe", argv);  // returns only where it failed: then threads spin
}

}  // namespace pixeldp
