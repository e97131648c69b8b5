#include "engine/threads.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

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

}  // namespace pixeldp
