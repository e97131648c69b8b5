#pragma once

/// Lets an ordinary C++ compiler build CUDA kernels and run them on the processor, with checks that
/// no GPU makes. Kernels get it through kernels/cuda/device.cuh.
///
///   dialect.hpp     words and vector types of CUDA C++
///   intrinsics.hpp  barriers, shuffles, atomics, arithmetic
///   matrix.hpp      cp.async, ldmatrix, mma
///   async.hpp       clusters, mbarrier, bulk copies of tensors, wgmma
///   runtime.hpp     memory, streams, events, graphs
///   memory.hpp      what is allocated
///   settings.hpp    order of execution, architecture, tallies
///   block.hpp       how the threads of a block take turns
///   cluster.hpp     how the blocks of a cluster do
#include "kernels/emulator/async.hpp"
#include "kernels/emulator/dialect.hpp"
#include "kernels/emulator/intrinsics.hpp"
#include "kernels/emulator/matrix.hpp"
#include "kernels/emulator/memory.hpp"
#include "kernels/emulator/runtime.hpp"
#include "kernels/emulator/settings.hpp"
