#include "engine/threads.hpp"

#include <cstdlib>

#ifdef _OPENMP
#include <omp.h>
#endif
#include <unistd.h>

#include "engine/notice.hpp"

namespace pixeldp {

void cap_threads() {
#ifdef _OPENMP
  const int wanted = omp_get_max_threads(), processors = omp_get_num_procs();
  if (wanted <= processors) return;
  omp_set_num_threads(processors);
  warn("OMP_NUM_THREADS asks for {} threads, but there are {} processors: that many are used",
       wanted, processors);
#endif
}

void wait_passively(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  if (::setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
  ::execv("/proc/self/exe", argv);  // returns only where it failed: then threads spin
}

}  // namespace pixeldp
