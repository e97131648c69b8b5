// Graphs: their nodes run in the order in which they were added.
#include <algorithm>
#include <cstring>

#include "cudart/graph.hpp"

using namespace ptxrun;

struct CUgraphExec_st {
  std::shared_ptr<vector<void*>> buffers;
  struct Item {
    CUgraphNode_st* source;
    Work work;
  };
  vector<Item> items;
};

namespace {
void release_last(const std::shared_ptr<vector<void*>>& buffers) {
  if (buffers.use_count() == 1)
    for (void* p : *buffers) release_buffer(p);
}

cudaError_t kernel_work(const cudaKernelNodeParams& params, Work& work) {
  if (!params.kernelParams) unsupported("cudaKernelNodeParams::extra");
  KernelCall call;
  call.host_function = params.func;
  call.grid = params.gridDim;
  call.block = params.blockDim;
  call.shared = params.sharedMemBytes;
  if (cudaError_t error = set_arguments(call, params.kernelParams)) return error;
  work = Work(std::move(call));
  return cudaSuccess;
}
Work copy_node(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy_work(to, from, bytes, kind, "memcpy node");
}
Work fill_node(const cudaMemsetParams& params) {
  size_t pitch = params.pitch ? params.pitch : params.width * params.elementSize;
  return fill_work(
      {params.dst, pitch, params.value, params.elementSize, params.width, params.height},
      "memset node");
}

cudaError_t add_node(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                     size_t count, Work work) {
  ApiLock lock;
  vector<CUgraphNode_st*> before(dependencies, dependencies + (dependencies ? count : 0));
  *node = graph->add(std::move(work), std::move(before));
  return cudaSuccess;
}
// The work that a node of this type has in what was made of its graph.
cudaError_t set_work(cudaGraphExec_t exec, cudaGraphNode_t node, Work work) {
  ApiLock lock;
  for (auto& item : exec->items)
    if (item.source == node && item.work.type == work.type) {
      item.work = std::move(work);
      return cudaSuccess;
    }
  return result(cudaErrorInvalidValue);
}
}  // namespace

extern "C" {
// ---- graphs
cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
  *graph = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  ApiLock lock;
  if (graph) release_last(graph->buffers);
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  ApiLock lock;
  const size_t there = graph->nodes.size();
  if (!nodes) {
    *count = there;
    return cudaSuccess;
  }
  for (size_t i = 0; i < *count; i++) nodes[i] = i < there ? graph->nodes[i].get() : nullptr;
  *count = std::min(*count, there);
  return cudaSuccess;
}

// ---- nodes
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* dependencies, size_t count,
                                   const cudaKernelNodeParams* params) {
  ApiLock lock;
  Work work;
  if (cudaError_t error = kernel_work(*params, work)) return error;
  return add_node(node, graph, dependencies, count, std::move(work));
}
cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* node, cudaGraph_t graph,
                                     const cudaGraphNode_t* dependencies, size_t count, void* to,
                                     const void* from, size_t bytes, cudaMemcpyKind kind) {
  return add_node(node, graph, dependencies, count, copy_node(to, from, bytes, kind));
}
cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* dependencies, size_t count,
                                   const cudaMemsetParams* params) {
  return add_node(node, graph, dependencies, count, fill_node(*params));
}
cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                 const cudaGraphNode_t* dependencies, size_t count,
                                 const cudaHostNodeParams* params) {
  cudaHostNodeParams host = *params;
  return add_node(node, graph, dependencies, count, Work(cudaGraphNodeTypeHost, [host] {
                    host.fn(host.userData);
                    return cudaSuccess;
                  }));
}
cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                  const cudaGraphNode_t* dependencies, size_t count) {
  return add_node(node, graph, dependencies, count, Work());
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  *type = node->work.type;
  return cudaSuccess;
}
cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* params) {
  ApiLock lock;
  KernelCall& call = node->work.kernel;
  auto& pointers = node->work.kernel_pointers;
  pointers.clear();
  for (auto& value : call.values) pointers.push_back(value.data());
  memset(params, 0, sizeof *params);
  params->func = (void*)call.host_function;
  params->gridDim = call.grid;
  params->blockDim = call.block;
  params->sharedMemBytes = (unsigned)call.shared;
  params->kernelParams = pointers.data();
  return cudaSuccess;
}
cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams* params) {
  ApiLock lock;
  return kernel_work(*params, node->work);
}

// ---- what is made of graphs
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  ApiLock lock;
  *exec = new CUgraphExec_st;
  (*exec)->buffers = graph->buffers;
  for (auto& node : graph->nodes) (*exec)->items.push_back({node.get(), node->work});
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                          unsigned long long flags) {
  return cudaGraphInstantiate(exec, graph, flags);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  ApiLock lock;
  for (auto& item : exec->items)
    if (cudaError_t error = enqueue(stream, item.work)) return error;
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  ApiLock lock;
  if (exec) release_last(exec->buffers);
  delete exec;
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  ApiLock lock;
  if (info) memset(info, 0, sizeof *info);
  auto refuse = [&](cudaGraphExecUpdateResult why) {
    if (info) info->result = why;
    return result(cudaErrorGraphExecUpdateFailure);
  };
  auto& items = exec->items;
  if (items.size() != graph->nodes.size()) return refuse(cudaGraphExecUpdateErrorTopologyChanged);
  for (size_t i = 0; i < items.size(); i++) {
    const Work &old = items[i].work, &now = graph->nodes[i]->work;
    if (old.type != now.type) return refuse(cudaGraphExecUpdateErrorNodeTypeChanged);
    if (old.kernel.host_function != now.kernel.host_function)
      return refuse(cudaGraphExecUpdateErrorFunctionChanged);
  }
  for (size_t i = 0; i < items.size(); i++) items[i].work = graph->nodes[i]->work;
  return cudaSuccess;
}
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* params) {
  ApiLock lock;
  Work work;
  if (cudaError_t error = kernel_work(*params, work)) return error;
  return set_work(exec, node, std::move(work));
}
cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node, void* to,
                                               const void* from, size_t bytes,
                                               cudaMemcpyKind kind) {
  return set_work(exec, node, copy_node(to, from, bytes, kind));
}
cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaMemsetParams* params) {
  return set_work(exec, node, fill_node(*params));
}
}
