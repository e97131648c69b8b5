// cudart_internal.h - what the runtime stand-in offers to the cuBLAS stand-in.
#pragma once
#include <functional>

#include <driver_types.h>

namespace ptxrun {
// Runs work in the order of the stream, or records it when the stream is being captured.
cudaError_t enqueueHostWork(cudaStream_t stream, std::function<cudaError_t()> work);
}  // namespace ptxrun
