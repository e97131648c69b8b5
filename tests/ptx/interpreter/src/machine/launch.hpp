#pragma once

// From a launch to its blocks.
#include "machine/machine.hpp"

namespace ptxrun {
void set_error(const string& message);                        // what ptx_error() tells
Function* find_kernel(ptx_module& module, const char* name);  // null: there is none
u32 static_shared(const ptx_module& module, const Function& kernel);

// Run blocks to the end. index: of the cluster in the grid.
void run_cluster(Cluster& cluster, Launch& launch, Worker& worker, u64 index);
void run_cooperative(Launch& launch, Worker& worker, u64 blocks);  // all at once
}  // namespace ptxrun
