#include "engine/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif
#include <unistd.h>

#include "engine/notice.hpp"

namespace pixeldp {

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work) {
#ifdef _OPENMP
  // A thread of our own has not heard of cap_threads.
  [[maybe_unused]] const int threads = std::min(omp_get_max_threads(), omp_get_num_procs());
#endif
  std::atomic<bool> failed = false;
  std::exception_ptr error;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) {
    if (failed) continue;
    try {
      work(i);
    } catch (...) {
#pragma omp critical(parallel_for_error)
      if (!error) error = std::current_exception();
      failed = true;
    }
  }
  if (error) std::rethrow_exception(error);
}

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
