#pragma once

#include <cstdint>
#include <functional>

namespace pixeldp {

/// Calls work(i) for i from 0 to count - 1 on as many threads as there are processors, in any
/// order. Throws the first exception that any of them threw, after which no more is begun.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& work);

/// Limits the threads of parallel regions to the processors that this process may use, with a
/// warning where more were asked for: they would only wait for each other.
void cap_threads();

/// Threads of OpenMP that wait for each other by spinning take the processor from whoever else
/// works on the machine, and slow each other down where processors are fewer than threads; and each
/// has memory of its own, so that thousands for a few processors take all there is. OpenMP reads
/// how to wait, and how many threads there are, only when the program is loaded, so this starts the
/// program anew, once, with both set: passive, unless the user has set OMP_WAIT_POLICY or
/// GOMP_SPINCOUNT, and as many as there are processors, with a warning, where OMP_NUM_THREADS asks
/// for more than four times that. Call it first.
void settle_threads(char** argv);

}  // namespace pixeldp
