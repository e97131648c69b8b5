#pragma once

// Statistics of kernels, over all their launches, and the report of them.
#include "machine/machine.hpp"

namespace ptxrun {
bool statistics_wanted();  // by PTXRUN_STATS
void add_statistics(const Launch& launch, const ptx_stats& stats, const vector<InstrCount>& counts);
}  // namespace ptxrun
