#pragma once

#include <cstddef>
#include <source_location>
#include <type_traits>

#include "engine/device.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch_error.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

/// Number of blocks or threads in each direction, and where it was written.
struct Extent {
  dim3 size;
  std::source_location where;
  unsigned cluster = 1;

  Extent(dim3 size_, std::source_location where_ = std::source_location::current())
      : size(size_), where(where_) {}
  template <class Count>
  requires std::is_integral_v<Count> Extent(
      Count count, std::source_location where_ = std::source_location::current())
      : size(static_cast<unsigned>(count)), where(where_) {}

  /// Of a grid, whose x is a multiple: each so many neighbours are a cluster (sm_90).
  Extent in_clusters_of(unsigned blocks) const {
    Extent changed = *this;
    changed.cluster = blocks;
    return changed;
  }
};

inline cudaStream_t native(const Stream& stream) {
  return static_cast<cudaStream_t>(stream.native());
}

/// Gives `kernel` to the stream: launch<kernel>(grid, block, shared_bytes, stream, arguments...).
/// Throws an Error with the kernel's name, the place of the call, grid and block when the device
/// refuses. Nothing waits: what goes wrong inside the kernel shows when the stream is synchronised.
template <auto kernel, class... Arguments>
void launch(Extent grid, Extent block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments);

namespace detail {

template <class... Parameters>
struct Launcher {
  template <void (*kernel)(Parameters...)>
  static void launch(const Extent& grid, const Extent& block, std::size_t shared_bytes,
                     cudaStream_t stream, Parameters... arguments) {
    const auto check = [&](cudaError_t error) {
      if (error == cudaSuccess) return;
      cudaGetLastError();  // or the next call would report it again
      launch_failed(cudaGetErrorString(error), kernel_name<kernel>(), grid.where,
                    {grid.size.x, grid.size.y, grid.size.z},
                    {block.size.x, block.size.y, block.size.z}, shared_bytes);
    };
#ifdef PIXELDP_EMULATED
    KernelLaunch work;
    work.name = kernel_name<kernel>();
    work.where = grid.where;
    work.grid = grid.size;
    work.block = block.size;
    work.shared_bytes = shared_bytes;
    work.cluster = grid.cluster;
    work.thread = [arguments...] { kernel(arguments...); };
    check(launch_kernel(work, stream));
#else
    // Without being asked, a kernel gets 48 KB of shared memory and no more.
    if (constexpr std::size_t unasked = 48 * 1024; shared_bytes > unasked) {
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes)));
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = grid.size;
    config.blockDim = block.size;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    cudaLaunchAttribute cluster = {};
    if (grid.cluster != 1) {
      cluster.id = cudaLaunchAttributeClusterDimension;
      cluster.val.clusterDim = {grid.cluster, 1, 1};
      config.attrs = &cluster, config.numAttrs = 1;
    }
    check(cudaLaunchKernelEx(&config, kernel, arguments...));
#endif
  }
};

template <class... Parameters>
Launcher<Parameters...> launcher_of(void (*)(Parameters...));

}  // namespace detail

template <auto kernel, class... Arguments>
void launch(Extent grid, Extent block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
  decltype(detail::launcher_of(kernel))::template launch<kernel>(grid, block, shared_bytes, stream,
                                                                 arguments...);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
