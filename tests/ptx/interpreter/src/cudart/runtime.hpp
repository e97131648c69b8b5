#pragma once

// What the files of the stand-in for the CUDA runtime share. Every call completes before it
// returns, which is one legal order of a program's streams.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "ptxrun.h"

namespace ptxrun {
using std::string;
using std::vector;

// One call of the runtime at a time.
class ApiLock {
 public:
  ApiLock();

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

// ---- errors.cpp
// Remembers an error for cudaGetLastError; one that no call can mend ("sticky") is every result.
cudaError_t result(cudaError_t error);
void set_sticky(cudaError_t error);
void forget_errors();
cudaError_t complain(cudaError_t error, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
[[noreturn]] void unsupported(const char* what);

// ---- device.cpp
ptx_opts options();
int architecture();           // 80 for compute capability 8.0
size_t most_shared_memory();  // of a block that asks for more than 48 KiB
size_t total_memory();
int blocks_per_multiprocessor(size_t shared, int threads);

// ---- modules.cpp
struct Module;
struct Kernel {
  Module* module;
  string name;
  size_t max_dynamic = 48 * 1024;  // shared memory
  ptx_module* load() const;        // ends the program where that fails
  int static_shared() const { return ptx_static_shared(load(), name.c_str()); }
};
Kernel* find_kernel(const void* host_function);  // null: it is none

// ---- memory.cpp
cudaError_t new_buffer(void** p, size_t bytes);
bool release_buffer(void* p);
// A range named as device memory must lie inside one buffer; a host range may not be device
// memory, and may not run over the end of a known buffer. What is wrong is printed.
bool check_range(const void* p, size_t bytes, bool device, const char* what);

// ---- launch.cpp
struct KernelCall {
  Kernel* kernel = nullptr;
  const void* host_function = nullptr;
  dim3 grid, block;
  size_t shared = 0;
  bool cooperative = false;
  dim3 cluster = {0, 0, 0};     // zeros: as the kernel declares
  vector<vector<char>> values;  // one per parameter
};
// Copies the arguments into the call, whose configuration is set.
cudaError_t set_arguments(KernelCall& call, void** arguments);
cudaError_t run_kernel(const KernelCall& call);

// ---- streams.cpp and graphs.cpp
struct Work {  // of a stream, or of a node of a graph
  cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
  KernelCall kernel;
  vector<void*> kernel_pointers;  // into kernel.values, for cudaGraphKernelNodeGetParams
  std::function<cudaError_t()> run;
  Work() = default;
  Work(cudaGraphNodeType type, std::function<cudaError_t()> run)
      : type(type), run(std::move(run)) {}
  explicit Work(KernelCall call) : type(cudaGraphNodeTypeKernel), kernel(std::move(call)) {}
};
// Runs work in the order of the stream, or records it when the stream is being captured.
cudaError_t enqueue(cudaStream_t stream, Work work);
// True, with a message, while a capture forbids calls that may wait.
bool unsafe_in_capture(const char* what);
// For a device that all streams share: refused while one is captured.
cudaError_t wait_for_device();
bool is_capturing(cudaStream_t stream);
// The buffer lives as long as the graph that the stream is recorded into, or what is made of it.
void give_to_graph(cudaStream_t stream, void* buffer);

// ---- copies.cpp
Work copy_work(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* what);
// Height rows of width elements, pitch bytes apart; element: of 1, 2 or 4 bytes.
struct Fill {
  void* to;
  size_t pitch;
  unsigned value, element;
  size_t width, height;
};
Work fill_work(const Fill& fill, const char* what);
}  // namespace ptxrun
