#include "engine/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <string>

#ifdef _OPENMP
#include <omp.h>
#endif
#include <unistd.h>

#include "engine/notice.hpp"

namespace pixeldp {

namespace {

#ifdef _OPENMP
/// Whether more threads are asked for than so many for each processor, and says that they are not
/// taken.
bool threads_beyond(int per_processor) {
  const int wanted = omp_get_max_threads(), processors = omp_get_num_procs();
  if (wanted <= per_processor * processors) return false;
  warn("OMP_NUM_THREADS asks for {} threads, but there are {} processors: that many are used",
       wanted, processors);
  return true;
}
#endif

}  // namespace

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
  if (threads_beyond(1)) omp_set_num_threads(omp_get_num_procs());
#endif
}

void settle_threads(char** argv) {
  bool changed = false;
  const auto set = [&](const char* variable, const std::string& value) {
    changed = ::setenv(variable, value.c_str(), 1) == 0 || changed;
  };
  if (!std::getenv("OMP_WAIT_POLICY") && !std::getenv("GOMP_SPINCOUNT"))
    set("OMP_WAIT_POLICY", "passive");
#ifdef _OPENMP
  constexpr int most_per_processor = 4;
  if (threads_beyond(most_per_processor))
    set("OMP_NUM_THREADS", std::to_string(omp_get_num_procs()));
#endif
  if (changed)
    ::execv("/proc/self/exe", argv);  // returns only where it failed: all stays as it was
}

}  // namespace pixeldp
