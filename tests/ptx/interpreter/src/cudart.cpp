// cudart.cpp - stand-in for the CUDA runtime library on top of the interpreter. Host programs
// compiled by nvcc with uncompressed PTX and "-cudart none" link with it and run on the CPU.
// Every call completes before it returns, which is one legal order of a program's streams.
// Entries of the runtime that are missing here abort with their name (see the Makefile).
#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <unistd.h>

#include "cudart_internal.h"
#include "ptxrun.h"
#include "tensormap.h"

using std::string;
using std::vector;

// ---- objects behind the runtime's opaque handles
enum Where { ON_DEVICE, ON_HOST, MANAGED };

struct KernelCall {
  const void* func = nullptr;
  dim3 grid, block;
  size_t shared = 0;
  bool cooperative = false;
  dim3 cluster = {0, 0, 0};
  vector<vector<char>> values;  // one per kernel parameter
};
struct NodeData {
  cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
  KernelCall kernel;
  vector<void*> kernelPointers;  // into kernel.values, for cudaGraphKernelNodeGetParams
  std::function<cudaError_t()> work;
};
struct CUgraphNode_st {
  NodeData d;
  vector<CUgraphNode_st*> deps;
};
struct CUgraph_st {
  vector<std::unique_ptr<CUgraphNode_st>> nodes;
  // Made by cudaMallocAsync under capture; they live as long as the graph or what was made of it.
  std::shared_ptr<vector<void*>> allocations = std::make_shared<vector<void*>>();
};
struct CUgraphExec_st {
  std::shared_ptr<vector<void*>> allocations;
  struct Item {
    CUgraphNode_st* source;
    NodeData d;
  };
  vector<Item> items;
};
struct CUstream_st {
  unsigned flags = 0;
  int priority = 0;
  CUgraph_st* capture = nullptr;
  bool origin = false;
  bool broken = false;  // a call that may not be captured was made
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  unsigned long long id = 0;
};
struct CUevent_st {
  bool recorded = false;
  double seconds = 0;
  CUgraph_st* capture = nullptr;
};
struct CUmemPoolHandle_st {
  unsigned long long threshold = 0;
  size_t used = 0, high = 0;
};

namespace {
struct Module {
  ptx_module* m = nullptr;
  vector<std::pair<int, string>> ptx;  // (architecture, text)
};
struct Kernel {
  Module* module;
  string name;
  size_t maxDynamic = 48 * 1024;
};
struct Variable {
  Module* module;
  string name;
  size_t size;
};
struct LaunchConfig {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};

std::recursive_mutex& apiMutex() {
  static auto* m = new std::recursive_mutex;
  return *m;
}
#define LOCK std::lock_guard<std::recursive_mutex> lock(apiMutex())
// Registration runs before constructors of this file may have, hence functions with statics.
std::map<const void*, Kernel>& kernels() {
  static auto* x = new std::map<const void*, Kernel>;
  return *x;
}
std::map<const void*, Variable>& variables() {
  static auto* x = new std::map<const void*, Variable>;
  return *x;
}
std::map<void*, Where>& places() {
  static auto* x = new std::map<void*, Where>;
  return *x;
}
vector<CUstream_st*>& streams() {
  static auto* x = new vector<CUstream_st*>;
  return *x;
}
CUmemPoolHandle_st defaultPool;
CUmemPoolHandle_st* currentPool = &defaultPool;
thread_local vector<LaunchConfig> pushed;
thread_local cudaError_t lastError = cudaSuccess;
cudaError_t sticky = cudaSuccess;
size_t heapLimit = 8 << 20, stackLimit = 1024, printfLimit = 1 << 20;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
cudaError_t result(cudaError_t e) {
  if (sticky) return lastError = sticky;
  if (e) lastError = e;
  return e;
}
cudaError_t complain(cudaError_t e, const char* format, ...) __attribute__((format(printf, 2, 3)));
cudaError_t complain(cudaError_t e, const char* format, ...) {
  va_list a;
  va_start(a, format);
  fputs("ptxrun: ", stderr);
  vfprintf(stderr, format, a);
  fputs("\n", stderr);
  va_end(a);
  return result(e);
}
[[noreturn]] void unsupported(const char* what) {
  fprintf(stderr, "ptxrun: %s is not supported\n", what);
  abort();
}
ptx_opts options() {
  ptx_opts o;
  ptx_default_opts(&o);
  return o;
}
int arch() { return options().arch; }
size_t sharedOptin() { return (arch() >= 90 ? 227 : 163) * 1024; }
size_t sharedPerSm() { return (arch() >= 90 ? 228 : 164) * 1024; }
size_t totalMemory() {
  const char* e = getenv("PTXRUN_MEMORY_MB");
  return (size_t)(e && *e ? atoll(e) : 16384) << 20;
}

// ---- modules
int ptxTarget(const string& text) {
  size_t p = text.find(".target");
  p = p == string::npos ? p : text.find("sm_", p);
  return p == string::npos ? 0 : atoi(text.c_str() + p + 3);
}
ptx_module* loaded(Module* M) {
  if (M->m) return M->m;
  std::pair<int, string>* best = nullptr;
  for (auto& t : M->ptx)
    if (t.first <= arch() && (!best || t.first > best->first)) best = &t;
  if (!best) {
    fprintf(stderr,
            "ptxrun: no usable PTX in the program for compute capability %d (compile with -gencode "
            "arch=compute_80,code=compute_80 --no-compress)\n",
            arch());
    exit(99);
  }
  M->m = ptx_load(best->second.c_str());
  if (!M->m) {
    fprintf(stderr, "ptxrun: %s\n", ptx_error());
    if (const char* e = getenv("PTXRUN_DUMP")) {
      FILE* f = fopen(e, "w");
      if (f) {
        fputs(best->second.c_str(), f);
        fclose(f);
      }
    } else {
      fprintf(stderr, "ptxrun: PTXRUN_DUMP=file.ptx writes the PTX that failed\n");
    }
    exit(99);
  }
  return M->m;
}

// ---- memory
void* allocate(size_t n) {
  if (ptx_live_bytes() + n > totalMemory()) return nullptr;
  void* p = ptx_malloc(n);
  if (p) places()[p] = ON_DEVICE;
  return p;
}
bool release(void* p) {
  auto it = places().find(p);
  if (it == places().end() || it->second == ON_HOST) return false;
  places().erase(it);
  return ptx_free(p) == 0;
}
cudaError_t newBuffer(void** p, size_t n) {
  *p = n ? allocate(n) : nullptr;
  if (n && !*p) return result(cudaErrorMemoryAllocation);
  return result(cudaSuccess);
}
cudaError_t oldBuffer(void* p) {
  if (p && !release(p))
    return complain(cudaErrorInvalidValue, "cudaFree: %p is not a live device buffer", p);
  return result(cudaSuccess);
}
// Calls that may wait are errors while a stream is captured in a mode other than relaxed.
bool unsafeInCapture(const char* what) {
  bool bad = false;
  for (auto* s : streams())
    if (s->capture && s->origin && s->mode != cudaStreamCaptureModeRelaxed) bad = s->broken = true;
  if (bad) fprintf(stderr, "ptxrun: %s while a stream is being captured\n", what);
  return bad;
}
// A range named as device memory must lie inside one buffer; a host range may not be device
// memory, and may not run over the end of a known buffer.
bool rangeOk(const void* p, size_t n, bool device, const char* what) {
  if (!n) return true;
  void* base = nullptr;
  size_t size = 0;
  if (!ptx_find_buffer(p, &base, &size)) {
    if (device) fprintf(stderr, "ptxrun: %s: %p is not device memory\n", what, p);
    return !device;
  }
  if ((char*)base + size < (char*)p + n) {
    fprintf(stderr, "ptxrun: %s: %zu bytes at offset %zu run over a buffer of %zu bytes\n", what, n,
            (size_t)((char*)p - (char*)base), size);
    return false;
  }
  auto it = places().find(base);
  if (!device && it != places().end() && it->second == ON_DEVICE) {
    fprintf(stderr, "ptxrun: %s: %p is device memory, the call says host memory\n", what, p);
    return false;
  }
  return true;
}
bool copyOk(const void* d, const void* s, size_t dn, size_t sn, cudaMemcpyKind k,
            const char* what) {
  if (k == cudaMemcpyDefault) {
    bool dd = ptx_find_buffer(d, nullptr, nullptr), sd = ptx_find_buffer(s, nullptr, nullptr);
    return rangeOk(d, dn, dd, what) && rangeOk(s, sn, sd, what);
  }
  bool dd = k == cudaMemcpyHostToDevice || k == cudaMemcpyDeviceToDevice;
  bool sd = k == cudaMemcpyDeviceToHost || k == cudaMemcpyDeviceToDevice;
  return rangeOk(d, dn, dd, what) && rangeOk(s, sn, sd, what);
}

// ---- streams
CUstream_st* stream(cudaStream_t s) {
  static auto* standard = new CUstream_st;
  if (!s || s == cudaStreamLegacy || s == cudaStreamPerThread) return standard;
  return s;
}
CUgraphNode_st* addNode(CUgraph_st* g, NodeData d, const cudaGraphNode_t* deps, size_t n) {
  g->nodes.emplace_back(new CUgraphNode_st);
  auto* node = g->nodes.back().get();
  node->d = std::move(d);
  if (deps)
    node->deps.assign(deps, deps + n);
  else if (g->nodes.size() > 1 && n)
    node->deps.push_back(g->nodes[g->nodes.size() - 2].get());
  return node;
}
cudaError_t runKernel(const KernelCall& c);
cudaError_t runNode(const NodeData& d) {
  if (d.type == cudaGraphNodeTypeKernel) return runKernel(d.kernel);
  return d.work ? d.work() : cudaSuccess;
}
cudaError_t enqueue(cudaStream_t s, NodeData d) {
  CUstream_st* st = stream(s);
  if (st->capture) {
    addNode(st->capture, std::move(d), nullptr, 1);
    return cudaSuccess;
  }
  if (sticky) return result(sticky);
  if (!s || s == cudaStreamLegacy) {  // the default stream waits for all blocking streams
    bool captured = false;
    for (auto* x : streams())
      if (x->capture && !(x->flags & cudaStreamNonBlocking)) captured = x->broken = true;
    if (captured)
      return complain(cudaErrorStreamCaptureImplicit,
                      "work on the default stream while a blocking stream is being captured");
  }
  return result(runNode(d));
}
cudaError_t enqueueWork(cudaStream_t s, cudaGraphNodeType type, std::function<cudaError_t()> f) {
  NodeData d;
  d.type = type;
  d.work = std::move(f);
  return enqueue(s, std::move(d));
}
bool anyCapture() {
  for (auto* s : streams())
    if (s->capture) return true;
  return false;
}
// Calls that wait for the device are not allowed while a stream captures.
cudaError_t waitCall(cudaStream_t s, bool all) {
  fflush(stdout);
  CUstream_st* st = stream(s);
  if (st->capture) {
    st->broken = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  if (all && anyCapture()) {
    for (auto* x : streams())
      if (x->capture) x->broken = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  return sticky ? result(sticky) : cudaSuccess;
}

// ---- launches
cudaError_t makeCall(const void* func, dim3 g, dim3 b, void** args, size_t shared, bool coop,
                     KernelCall* c, dim3 cluster = {0, 0, 0}) {
  auto it = kernels().find(func);
  if (it == kernels().end()) return result(cudaErrorInvalidDeviceFunction);
  Kernel& k = it->second;
  ptx_module* m = loaded(k.module);
  int n = ptx_nparams(m, k.name.c_str());
  if (n < 0) return complain(cudaErrorInvalidDeviceFunction, "no kernel %s", k.name.c_str());
  unsigned long long threads = (unsigned long long)b.x * b.y * b.z;
  if (!g.x || !g.y || !g.z || g.y > 65535 || g.z > 65535 || !threads || threads > 1024 || b.z > 64)
    return complain(cudaErrorInvalidConfiguration,
                    "kernel %s: grid %ux%ux%u of blocks %ux%ux%u is not launchable", k.name.c_str(),
                    g.x, g.y, g.z, b.x, b.y, b.z);
  if (shared > k.maxDynamic)
    return complain(cudaErrorInvalidValue,
                    "kernel %s: %zu bytes of dynamic shared memory, allowed %zu (see "
                    "cudaFuncSetAttribute)",
                    k.name.c_str(), shared, k.maxDynamic);
  c->func = func;
  c->grid = g;
  c->block = b;
  c->shared = shared;
  c->cooperative = coop;
  c->cluster = cluster;
  c->values.clear();
  for (int i = 0; i < n; i++) {
    size_t z = ptx_param_size(m, k.name.c_str(), i);
    c->values.emplace_back((char*)args[i], (char*)args[i] + z);
  }
  return cudaSuccess;
}
cudaError_t runKernel(const KernelCall& c) {
  Kernel& k = kernels()[c.func];
  ptx_opts o = options();
  o.cooperative = c.cooperative;
  o.cluster[0] = c.cluster.x, o.cluster[1] = c.cluster.y, o.cluster[2] = c.cluster.z;
  unsigned g[3] = {c.grid.x, c.grid.y, c.grid.z}, b[3] = {c.block.x, c.block.y, c.block.z};
  vector<void*> args;
  for (auto& v : c.values) args.push_back((void*)v.data());
  ptx_stats st;
  if (ptx_launch(loaded(k.module), k.name.c_str(), g, b, c.shared, args.data(), &o, &st)) {
    string e = ptx_error();
    fflush(stdout);
    fprintf(stderr, "ptxrun: %s\n", e.c_str());
    auto starts = [&](const char* s) { return e.compare(0, strlen(s), s) == 0; };
    if (e.find("not launchable") != string::npos || e.find("launch bounds") != string::npos ||
        e.find("shared memory of") != string::npos ||
        e.find("of shared memory are") != string::npos)
      return cudaErrorInvalidConfiguration;
    sticky = starts("misaligned")      ? cudaErrorMisalignedAddress
             : starts("device assert") ? cudaErrorAssert
             : starts("invalid")       ? cudaErrorIllegalAddress
                                       : cudaErrorLaunchFailure;
    return sticky;
  }
  if (st.races) {
    fprintf(stderr, "ptxrun: %llu shared-memory races in kernel %s\n", (unsigned long long)st.races,
            k.name.c_str());
    return sticky = cudaErrorLaunchFailure;
  }
  return cudaSuccess;
}
cudaError_t launch(const void* f, dim3 g, dim3 b, void** args, size_t shared, cudaStream_t s,
                   bool coop, dim3 cluster = {0, 0, 0}) {
  LOCK;
  NodeData d;
  d.type = cudaGraphNodeTypeKernel;
  if (cudaError_t e = makeCall(f, g, b, args, shared, coop, &d.kernel, cluster)) return e;
  return enqueue(s, std::move(d));
}
struct LeakReport {
  ~LeakReport() {
    const char* e = getenv("PTXRUN_LEAKS");
    if (e && atoi(e) && ptx_live_buffers())
      fprintf(stderr, "ptxrun: %zu device buffers (%zu bytes) were never freed\n",
              ptx_live_buffers(), ptx_live_bytes());
  }
} leakReport;
char* symbolAddress(const void* symbol) {
  auto it = variables().find(symbol);
  if (it == variables().end()) return nullptr;
  return (char*)ptx_symbol(loaded(it->second.module), it->second.name.c_str(), nullptr);
}
cudaError_t symbolCopy(const void* symbol, void* other, size_t n, size_t offset, bool toSymbol,
                       cudaStream_t s) {
  LOCK;
  char* p = symbolAddress(symbol);
  if (!p) return result(cudaErrorInvalidSymbol);
  if (offset + n > variables()[symbol].size)
    return complain(cudaErrorInvalidValue, "copy of %zu bytes at offset %zu runs over symbol %s", n,
                    offset, variables()[symbol].name.c_str());
  p += offset;
  return enqueueWork(s, cudaGraphNodeTypeMemcpy, [=] {
    memmove(toSymbol ? p : other, toSymbol ? other : p, n);
    return cudaSuccess;
  });
}
cudaError_t copy(void* d, const void* s, size_t n, cudaMemcpyKind k, cudaStream_t st,
                 const char* what) {
  LOCK;
  if (!copyOk(d, s, n, n, k, what)) return result(cudaErrorInvalidValue);
  return enqueueWork(st, cudaGraphNodeTypeMemcpy, [=] {
    if (!copyOk(d, s, n, n, k, what)) return cudaErrorInvalidValue;
    memmove(d, s, n);
    return cudaSuccess;
  });
}
cudaError_t copy2D(void* d, size_t dp, const void* s, size_t sp, size_t w, size_t h,
                   cudaMemcpyKind k, cudaStream_t st, const char* what) {
  LOCK;
  if (w > dp || w > sp) return result(cudaErrorInvalidPitchValue);
  if (!w || !h) return cudaSuccess;
  if (!copyOk(d, s, dp * (h - 1) + w, sp * (h - 1) + w, k, what))
    return result(cudaErrorInvalidValue);
  return enqueueWork(st, cudaGraphNodeTypeMemcpy, [=] {
    for (size_t i = 0; i < h; i++) memmove((char*)d + i * dp, (const char*)s + i * sp, w);
    return cudaSuccess;
  });
}
cudaError_t fill(void* d, size_t pitch, unsigned value, unsigned element, size_t w, size_t h,
                 cudaStream_t st, const char* what) {
  LOCK;
  if (!w || !h) return cudaSuccess;
  if (!rangeOk(d, pitch * (h - 1) + w * element, true, what)) return result(cudaErrorInvalidValue);
  return enqueueWork(st, cudaGraphNodeTypeMemset, [=] {
    for (size_t i = 0; i < h; i++) {
      char* row = (char*)d + i * pitch;
      if (element == 1)
        memset(row, (int)value, w);
      else
        for (size_t j = 0; j < w; j++) memcpy(row + j * element, &value, element);
    }
    return cudaSuccess;
  });
}
int blocksPerSm(const void* f, int threads, size_t dynamic) {
  auto it = kernels().find(f);
  if (it == kernels().end() || threads <= 0 || threads > 1024) return 0;
  ptx_module* m = loaded(it->second.module);
  size_t shared = ptx_static_shared(m, it->second.name.c_str()) + dynamic + 1024;
  if (dynamic > it->second.maxDynamic) return 0;
  int n = std::min(32, 2048 / ((threads + 31) / 32 * 32));
  return std::min<int>(n, sharedPerSm() / shared);
}
NodeData kernelNode(const cudaKernelNodeParams* p, cudaError_t* e) {
  NodeData d;
  d.type = cudaGraphNodeTypeKernel;
  if (!p->kernelParams) unsupported("cudaKernelNodeParams::extra");
  *e = makeCall(p->func, p->gridDim, p->blockDim, p->kernelParams, p->sharedMemBytes, false,
                &d.kernel);
  return d;
}
NodeData copyNode(void* d, const void* s, size_t n, cudaMemcpyKind k) {
  NodeData r;
  r.type = cudaGraphNodeTypeMemcpy;
  r.work = [=] {
    if (!copyOk(d, s, n, n, k, "memcpy node")) return cudaErrorInvalidValue;
    memmove(d, s, n);
    return cudaSuccess;
  };
  return r;
}
NodeData fillNode(cudaMemsetParams p) {
  NodeData r;
  r.type = cudaGraphNodeTypeMemset;
  r.work = [=] {
    return fill(p.dst, p.pitch ? p.pitch : p.width * p.elementSize, p.value, p.elementSize, p.width,
                p.height, nullptr, "memset node");
  };
  return r;
}
CUgraphExec_st::Item* findItem(cudaGraphExec_t e, cudaGraphNode_t n) {
  for (auto& i : e->items)
    if (i.source == n) return &i;
  return nullptr;
}
}  // namespace

cudaError_t ptxrun::enqueueHostWork(cudaStream_t s, std::function<cudaError_t()> work) {
  LOCK;
  return enqueueWork(s, cudaGraphNodeTypeHost, std::move(work));
}

extern "C" {
// ---- registration, called by code that nvcc generates
void** __cudaRegisterFatBinary(void* wrapper) {
  struct Wrapper {
    int magic, version;
    const unsigned char* data;
    void* rest;
  };
  auto* M = new Module;
  const unsigned char* d = ((Wrapper*)wrapper)->data;
  unsigned magic;
  memcpy(&magic, d, 4);
  if (magic != 0xBA55ED50) return (void**)M;
  unsigned short headerSize;
  unsigned long long total;
  memcpy(&headerSize, d + 6, 2);
  memcpy(&total, d + 8, 8);
  const unsigned char *p = d + headerSize, *end = p + total;
  while (p < end) {  // entries: kind, header size, payload size, ..., flags
    unsigned short kind;
    unsigned entryHeader;
    unsigned long long size, flags;
    memcpy(&kind, p, 2);
    memcpy(&entryHeader, p + 4, 4);
    memcpy(&size, p + 8, 8);
    memcpy(&flags, p + 40, 8);
    if (!entryHeader) break;
    if (kind == 1) {  // PTX
      if (flags & (0x2000 | 0x8000)) {
        fprintf(stderr, "ptxrun: the program holds compressed PTX; compile with --no-compress\n");
      } else {
        string text((const char*)p + entryHeader, size);
        text = text.c_str();
        int target = ptxTarget(text);
        M->ptx.emplace_back(target, std::move(text));
      }
    }
    p += entryHeader + size;
  }
  return (void**)M;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void** h, const char* host, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  kernels()[host] = Kernel{(Module*)h, name};
}
void __cudaRegisterVar(void** h, char* host, char*, const char* name, int, size_t size, int, int) {
  variables()[host] = Variable{(Module*)h, name, size};
}
void __cudaRegisterManagedVar(void** h, void** host, char*, const char* name, int, size_t size, int,
                              int) {
  variables()[host] = Variable{(Module*)h, name, size};
  *host = ptx_symbol(loaded((Module*)h), name, nullptr);
}
unsigned __cudaPushCallConfiguration(dim3 g, dim3 b, size_t shared, cudaStream_t s) {
  pushed.push_back({g, b, shared, s});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* g, dim3* b, size_t* shared, void* s) {
  if (pushed.empty()) return result(cudaErrorMissingConfiguration);
  LaunchConfig c = pushed.back();
  pushed.pop_back();
  *g = c.grid;
  *b = c.block;
  *shared = c.shared;
  *(cudaStream_t*)s = c.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* k, const void* f) {
  *k = (cudaKernel_t)f;
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t k, dim3 g, dim3 b, void** a, size_t sh,
                               cudaStream_t s) {
  return launch((const void*)k, g, b, a, sh, s, false);
}

// ---- launches
cudaError_t cudaLaunchKernel(const void* f, dim3 g, dim3 b, void** a, size_t sh, cudaStream_t s) {
  return launch(f, g, b, a, sh, s, false);
}
cudaError_t cudaLaunchCooperativeKernel(const void* f, dim3 g, dim3 b, void** a, size_t sh,
                                        cudaStream_t s) {
  return launch(f, g, b, a, sh, s, true);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* f, void** a) {
  bool coop = false;
  dim3 cluster = {0, 0, 0};
  for (unsigned i = 0; i < c->numAttrs; i++) {
    auto& at = c->attrs[i];
    if (at.id == cudaLaunchAttributeCooperative) coop = at.val.cooperative;
    if (at.id == cudaLaunchAttributeClusterDimension)
      cluster = {at.val.clusterDim.x, at.val.clusterDim.y, at.val.clusterDim.z};
  }
  return launch(f, c->gridDim, c->blockDim, a, c->dynamicSmemBytes, c->stream, coop, cluster);
}
cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t fn, void* user) {
  LOCK;
  return enqueueWork(s, cudaGraphNodeTypeHost, [=] {
    fn(user);
    return cudaSuccess;
  });
}
cudaError_t cudaGetKernel(cudaKernel_t* k, const void* f) { return __cudaGetKernel(k, f); }
cudaError_t cudaFuncGetName(const char** name, const void* f) {
  auto it = kernels().find(f);
  if (it == kernels().end()) return result(cudaErrorInvalidDeviceFunction);
  *name = it->second.name.c_str();
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* f, cudaFuncAttribute a, int v) {
  LOCK;
  auto it = kernels().find(f);
  if (it == kernels().end()) return result(cudaErrorInvalidDeviceFunction);
  if (a == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    int fixed = ptx_static_shared(loaded(it->second.module), it->second.name.c_str());
    if (v < 0 || (size_t)v + fixed > sharedOptin())
      return complain(cudaErrorInvalidValue,
                      "kernel %s: %d bytes of dynamic and %d of static shared memory exceed the "
                      "%zu of a block",
                      it->second.name.c_str(), v, fixed, sharedOptin());
    it->second.maxDynamic = v;
  }
  return cudaSuccess;
}
cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void* f) {
  LOCK;
  auto it = kernels().find(f);
  if (it == kernels().end()) return result(cudaErrorInvalidDeviceFunction);
  ptx_module* m = loaded(it->second.module);
  memset(a, 0, sizeof *a);
  a->sharedSizeBytes = ptx_static_shared(m, it->second.name.c_str());
  a->localSizeBytes = ptx_local_bytes(m, it->second.name.c_str());
  a->maxThreadsPerBlock = 1024;
  a->numRegs = 32;  // registers are the business of ptxas: unknown here
  a->ptxVersion = a->binaryVersion = arch();
  a->maxDynamicSharedSizeBytes = (int)it->second.maxDynamic;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, const void* f, int threads,
                                                          size_t sh) {
  LOCK;
  *n = blocksPerSm(f, threads, sh);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n, const void* f, int t,
                                                                   size_t sh, unsigned) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(n, f, t, sh);
}

// ---- memory
cudaError_t cudaMalloc(void** p, size_t n) {
  LOCK;
  if (unsafeInCapture("cudaMalloc")) return result(cudaErrorStreamCaptureUnsupported);
  return newBuffer(p, n);
}
cudaError_t cudaFree(void* p) {
  LOCK;
  if (unsafeInCapture("cudaFree")) return result(cudaErrorStreamCaptureUnsupported);
  return oldBuffer(p);
}
cudaError_t cudaMallocManaged(void** p, size_t n, unsigned) {
  LOCK;
  cudaError_t e = cudaMalloc(p, n);
  if (!e && *p) places()[*p] = MANAGED;
  return e;
}
cudaError_t cudaMallocPitch(void** p, size_t* pitch, size_t w, size_t h) {
  *pitch = (w + 511) / 512 * 512;
  return cudaMalloc(p, *pitch * h);
}
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) {
  LOCK;
  *p = aligned_alloc(4096, (n + 4095) / 4096 * 4096 + 4096);
  if (!*p) return result(cudaErrorMemoryAllocation);
  memset(*p, options().poison ? 0xff : 0, n);
  ptx_register(*p, n, "cudaHostAlloc");
  places()[*p] = ON_HOST;
  return result(cudaSuccess);
}
cudaError_t cudaMallocHost(void** p, size_t n) { return cudaHostAlloc(p, n, 0); }
cudaError_t cudaFreeHost(void* p) {
  LOCK;
  if (!p) return cudaSuccess;
  auto it = places().find(p);
  if (it == places().end() || it->second != ON_HOST)
    return complain(cudaErrorInvalidValue, "cudaFreeHost: %p is not a live pinned buffer", p);
  places().erase(it);
  ptx_unregister(p);
  free(p);
  return result(cudaSuccess);
}
cudaError_t cudaHostRegister(void* p, size_t n, unsigned) {
  ptx_register(p, n, "cudaHostRegister");
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* p) {
  ptx_unregister(p);
  return cudaSuccess;
}
cudaError_t cudaHostGetDevicePointer(void** d, void* h, unsigned) {
  *d = h;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  LOCK;
  memset(a, 0, sizeof *a);
  void* base;
  if (!ptx_find_buffer(p, &base, nullptr)) {
    a->type = cudaMemoryTypeUnregistered;
    a->hostPointer = (void*)p;
    a->device = -2;
    return cudaSuccess;
  }
  auto it = places().find(base);
  Where w = it == places().end() ? ON_DEVICE : it->second;
  a->type = w == ON_DEVICE ? cudaMemoryTypeDevice
            : w == ON_HOST ? cudaMemoryTypeHost
                           : cudaMemoryTypeManaged;
  a->devicePointer = (void*)p;
  a->hostPointer = w == ON_DEVICE ? nullptr : (void*)p;
  return cudaSuccess;
}
cudaError_t cudaMallocFromPoolAsync(void** p, size_t n, cudaMemPool_t pool, cudaStream_t s) {
  LOCK;
  cudaError_t e = newBuffer(p, n);
  if (e) return e;
  if (stream(s)->capture) stream(s)->capture->allocations->push_back(*p);
  pool->used += n;
  pool->high = std::max(pool->high, pool->used);
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** p, size_t n, cudaStream_t s) {
  return cudaMallocFromPoolAsync(p, n, currentPool, s);
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t s) {
  LOCK;
  if (stream(s)->capture) return cudaSuccess;  // freed with the graph
  size_t n = 0;
  ptx_find_buffer(p, nullptr, &n);
  currentPool->used -= std::min(currentPool->used, n);
  return oldBuffer(p);
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* p, int) {
  *p = &defaultPool;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* p, int) {
  *p = currentPool;
  return cudaSuccess;
}
cudaError_t cudaDeviceSetMemPool(int, cudaMemPool_t p) {
  currentPool = p;
  return cudaSuccess;
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* p, const cudaMemPoolProps*) {
  *p = new CUmemPoolHandle_st;
  return cudaSuccess;
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t p) {
  if (currentPool == p) currentPool = &defaultPool;
  if (p != &defaultPool) delete p;
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) {
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t p, cudaMemPoolAttr a, void* v) {
  if (a == cudaMemPoolAttrReleaseThreshold) p->threshold = *(unsigned long long*)v;
  if (a == cudaMemPoolAttrUsedMemHigh) p->high = p->used;
  return cudaSuccess;
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t p, cudaMemPoolAttr a, void* v) {
  switch (a) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
      *(int*)v = 1;
      break;
    case cudaMemPoolAttrReleaseThreshold:
      *(unsigned long long*)v = p->threshold;
      break;
    case cudaMemPoolAttrUsedMemHigh:
    case cudaMemPoolAttrReservedMemHigh:
      *(unsigned long long*)v = p->high;
      break;
    default:
      *(unsigned long long*)v = p->used;
  }
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = totalMemory();
  *available = *total - std::min(*total, ptx_live_bytes());
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* d, const void* s, size_t n, cudaMemcpyKind k) {
  return copy(d, s, n, k, nullptr, "cudaMemcpy");
}
cudaError_t cudaMemcpyAsync(void* d, const void* s, size_t n, cudaMemcpyKind k, cudaStream_t st) {
  return copy(d, s, n, k, st, "cudaMemcpyAsync");
}
cudaError_t cudaMemcpy2D(void* d, size_t dp, const void* s, size_t sp, size_t w, size_t h,
                         cudaMemcpyKind k) {
  return copy2D(d, dp, s, sp, w, h, k, nullptr, "cudaMemcpy2D");
}
cudaError_t cudaMemcpy2DAsync(void* d, size_t dp, const void* s, size_t sp, size_t w, size_t h,
                              cudaMemcpyKind k, cudaStream_t st) {
  return copy2D(d, dp, s, sp, w, h, k, st, "cudaMemcpy2DAsync");
}
cudaError_t cudaMemset(void* d, int v, size_t n) {
  return fill(d, n, v, 1, n, 1, nullptr, "cudaMemset");
}
cudaError_t cudaMemsetAsync(void* d, int v, size_t n, cudaStream_t s) {
  return fill(d, n, v, 1, n, 1, s, "cudaMemsetAsync");
}
cudaError_t cudaMemset2D(void* d, size_t p, int v, size_t w, size_t h) {
  return fill(d, p, v, 1, w, h, nullptr, "cudaMemset2D");
}
cudaError_t cudaMemset2DAsync(void* d, size_t p, int v, size_t w, size_t h, cudaStream_t s) {
  return fill(d, p, v, 1, w, h, s, "cudaMemset2DAsync");
}
cudaError_t cudaMemPrefetchAsync(const void*, size_t, cudaMemLocation, unsigned, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaMemAdvise(const void*, size_t, cudaMemoryAdvise, cudaMemLocation) {
  return cudaSuccess;
}
cudaError_t cudaMemcpyToSymbol(const void* y, const void* p, size_t n, size_t o, cudaMemcpyKind) {
  return symbolCopy(y, (void*)p, n, o, true, nullptr);
}
cudaError_t cudaMemcpyFromSymbol(void* p, const void* y, size_t n, size_t o, cudaMemcpyKind) {
  return symbolCopy(y, p, n, o, false, nullptr);
}
cudaError_t cudaMemcpyToSymbolAsync(const void* y, const void* p, size_t n, size_t o,
                                    cudaMemcpyKind, cudaStream_t s) {
  return symbolCopy(y, (void*)p, n, o, true, s);
}
cudaError_t cudaMemcpyFromSymbolAsync(void* p, const void* y, size_t n, size_t o, cudaMemcpyKind,
                                      cudaStream_t s) {
  return symbolCopy(y, p, n, o, false, s);
}
cudaError_t cudaGetSymbolAddress(void** p, const void* y) {
  LOCK;
  *p = symbolAddress(y);
  return *p ? cudaSuccess : result(cudaErrorInvalidSymbol);
}
cudaError_t cudaGetSymbolSize(size_t* n, const void* y) {
  LOCK;
  auto it = variables().find(y);
  if (it == variables().end()) return result(cudaErrorInvalidSymbol);
  *n = it->second.size;
  return cudaSuccess;
}

// ---- errors
cudaError_t cudaGetLastError(void) {
  cudaError_t e = sticky ? sticky : lastError;
  lastError = cudaSuccess;
  return e;
}
cudaError_t cudaPeekAtLastError(void) { return sticky ? sticky : lastError; }
#define ERRORS(X)                                                                                 \
  X(cudaSuccess, "no error")                                                                      \
  X(cudaErrorInvalidValue, "invalid argument")                                                    \
  X(cudaErrorMemoryAllocation, "out of memory")                                                   \
  X(cudaErrorInitializationError, "initialization error")                                         \
  X(cudaErrorInvalidConfiguration, "invalid configuration argument")                              \
  X(cudaErrorInvalidPitchValue, "invalid pitch argument")                                         \
  X(cudaErrorInvalidSymbol, "invalid device symbol")                                              \
  X(cudaErrorMissingConfiguration, "__global__ function call is not configured")                  \
  X(cudaErrorInvalidDeviceFunction, "invalid device function")                                    \
  X(cudaErrorInvalidDevice, "invalid device ordinal")                                             \
  X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                    \
  X(cudaErrorNotReady, "device not ready")                                                        \
  X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                          \
  X(cudaErrorMisalignedAddress, "misaligned address")                                             \
  X(cudaErrorAssert, "device-side assert triggered")                                              \
  X(cudaErrorLaunchFailure, "unspecified launch failure (see the ptxrun message)")                \
  X(cudaErrorNotSupported, "operation not supported")                                             \
  X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")        \
  X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture") \
  X(cudaErrorStreamCaptureImplicit,                                                               \
    "operation would make the legacy stream depend on a capturing blocking stream")               \
  X(cudaErrorIllegalState, "the operation cannot be performed in the present state")              \
  X(cudaErrorGraphExecUpdateFailure, "the graph update was not performed")
const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
#define X(name, text) \
  case name:          \
    return #name;
    ERRORS(X)
#undef X
    default:
      return "unrecognized error code";
  }
}
const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
#define X(name, text) \
  case name:          \
    return text;
    ERRORS(X)
#undef X
    default:
      return "unrecognized error code";
  }
}

// ---- device
cudaError_t cudaGetDeviceCount(int* n) {
  *n = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int d) { return d ? result(cudaErrorInvalidDevice) : cudaSuccess; }
cudaError_t cudaInitDevice(int d, unsigned, unsigned) { return cudaSetDevice(d); }
cudaError_t cudaGetDevice(int* d) {
  *d = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }
cudaError_t cudaDeviceReset(void) {
  sticky = lastError = cudaSuccess;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void) {
  LOCK;
  return waitCall(nullptr, true);
}
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* low, int* high) {
  *low = 0;
  *high = -5;
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceSetLimit(cudaLimit l, size_t v) {
  (l == cudaLimitMallocHeapSize ? heapLimit
   : l == cudaLimitStackSize    ? stackLimit
                                : printfLimit) = v;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetLimit(size_t* v, cudaLimit l) {
  *v = l == cudaLimitMallocHeapSize ? heapLimit
       : l == cudaLimitStackSize    ? stackLimit
                                    : printfLimit;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* s, int n, int) {
  snprintf(s, n, "0000:00:00.0");
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int d) {
  if (d) return result(cudaErrorInvalidDevice);
  memset(p, 0, sizeof *p);
  snprintf(p->name, sizeof p->name, "ptxrun (functional PTX interpreter)");
  p->major = arch() / 10;
  p->minor = arch() % 10;
  p->warpSize = 32;
  p->pciBusID = getpid();  // each process has a device of its own
  p->multiProcessorCount = 4;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = 2048;
  p->maxBlocksPerMultiProcessor = 32;
  p->sharedMemPerBlock = 48 * 1024;
  p->sharedMemPerBlockOptin = sharedOptin();
  p->sharedMemPerMultiprocessor = sharedPerSm();
  p->reservedSharedMemPerBlock = 1024;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->totalGlobalMem = totalMemory();
  p->totalConstMem = 65536;
  p->l2CacheSize = 4 << 20;
  p->memoryBusWidth = 256;
  p->maxGridSize[0] = 0x7fffffff;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->cooperativeLaunch = p->unifiedAddressing = p->managedMemory = p->canMapHostMemory = 1;
  p->concurrentKernels = p->memoryPoolsSupported = p->hostRegisterSupported = 1;
  p->asyncEngineCount = 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int d) {
  cudaDeviceProp p;
  if (cudaError_t e = cudaGetDeviceProperties(&p, d)) return e;
  switch (a) {
    case cudaDevAttrMaxThreadsPerBlock:
      *v = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
      *v = 1024;
      break;
    case cudaDevAttrMaxBlockDimZ:
      *v = 64;
      break;
    case cudaDevAttrMaxGridDimX:
      *v = 0x7fffffff;
      break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      *v = 65535;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *v = 48 * 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *v = (int)sharedOptin();
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *v = (int)sharedPerSm();
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *v = 1024;
      break;
    case cudaDevAttrTotalConstantMemory:
      *v = 65536;
      break;
    case cudaDevAttrWarpSize:
      *v = 32;
      break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      *v = 65536;
      break;
    case cudaDevAttrMultiProcessorCount:
      *v = p.multiProcessorCount;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *v = 2048;
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *v = 32;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *v = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *v = p.minor;
      break;
    case cudaDevAttrL2CacheSize:
      *v = p.l2CacheSize;
      break;
    case cudaDevAttrClockRate:
      *v = 1000000;
      break;
    case cudaDevAttrMemoryClockRate:
      *v = 1000000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *v = p.memoryBusWidth;
      break;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrGlobalL1CacheSupported:
    case cudaDevAttrLocalL1CacheSupported:
    case cudaDevAttrStreamPrioritiesSupported:
      *v = 1;
      break;
    default:
      *v = 0;
  }
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* v) {
  *v = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* v) {
  *v = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
cudaError_t cudaProfilerStop(void) { return cudaSuccess; }
// The one driver call that is emulated: tensor maps for cp.async.bulk.tensor.
CUresult cuTensorMapEncodeTiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank,
                                void* address, const cuuint64_t* dim, const cuuint64_t* stride,
                                const cuuint32_t* box, const cuuint32_t* step,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  static const int sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  static const bool isFloat[] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1};
  auto refuse = [](const char* why) {
    fprintf(stderr, "ptxrun: cuTensorMapEncodeTiled: %s\n", why);
    return CUDA_ERROR_INVALID_VALUE;
  };
  if (!out || (size_t)out & 63) return refuse("the map must be aligned to 64 bytes");
  if ((unsigned)type > 12) return refuse("this data type is not supported by ptxrun");
  if (rank < 1 || rank > 5) return refuse("rank must be 1 to 5");
  if ((size_t)address & 15) return refuse("the tensor must be aligned to 16 bytes");
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE)
    return refuse("interleaved layouts are not supported by ptxrun");
  ptxrun::TensorMap t{};
  t.magic = ptxrun::kTensorMapMagic;
  t.rank = rank;
  t.elementBytes = sizes[type];
  t.isFloat = isFloat[type];
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      t.swizzle = 0;
      break;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      t.swizzle = 32;
      break;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      t.swizzle = 64;
      break;
    case CU_TENSOR_MAP_SWIZZLE_128B:
      t.swizzle = 128;
      break;
    default:
      return refuse("this swizzle is not supported by ptxrun");
  }
  t.fill = fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ? ptxrun::FILL_ZERO : ptxrun::FILL_NAN;
  if (t.fill == ptxrun::FILL_NAN && !t.isFloat) return refuse("NaN fill of an integer tensor");
  t.address = (uint64_t)address;
  for (unsigned d = 0; d < rank; d++) {
    if (!dim[d] || dim[d] > 1ull << 32) return refuse("a dimension must be 1 to 2^32");
    if (!box[d] || box[d] > 256) return refuse("a box dimension must be 1 to 256");
    if (step[d] != 1) return refuse("element strides other than 1 are not supported by ptxrun");
    t.last[d] = (uint32_t)(dim[d] - 1);
    t.box[d] = (uint16_t)box[d];
    if (d + 1 < rank) {
      if (stride[d] & 15 || stride[d] >= 1ull << 40)
        return refuse("a stride must be a multiple of 16 bytes below 2^40");
      t.stride[d] = stride[d];
    }
  }
  size_t inner = (size_t)box[0] * t.elementBytes;
  if (inner & 15) return refuse("the inner box dimension must be a multiple of 16 bytes");
  if (t.swizzle && inner > t.swizzle) return refuse("the inner box dimension exceeds the swizzle");
  memset((void*)out, 0, sizeof *out);
  memcpy((void*)out, &t, sizeof t);
  return CUDA_SUCCESS;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** f, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* r) {
  bool known = !strcmp(name, "cuTensorMapEncodeTiled");
  *f = known ? (void*)cuTensorMapEncodeTiled : nullptr;
  if (r) *r = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPoint(const char* n, void** f, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* r) {
  return cudaGetDriverEntryPointByVersion(n, f, 0, flags, r);
}

// ---- streams and events
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned flags, int priority) {
  LOCK;
  static unsigned long long nextId = 1;
  *s = new CUstream_st;
  (*s)->flags = flags;
  (*s)->priority = priority;
  (*s)->id = nextId++;
  streams().push_back(*s);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned flags) {
  return cudaStreamCreateWithPriority(s, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* s) { return cudaStreamCreateWithPriority(s, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  LOCK;
  auto& v = streams();
  for (size_t i = 0; i < v.size(); i++)
    if (v[i] == s) {
      v.erase(v.begin() + i);
      delete s;
      return cudaSuccess;
    }
  return result(cudaErrorInvalidResourceHandle);
}
cudaError_t cudaStreamGetFlags(cudaStream_t s, unsigned* f) {
  *f = stream(s)->flags;
  return cudaSuccess;
}
cudaError_t cudaStreamGetPriority(cudaStream_t s, int* p) {
  *p = stream(s)->priority;
  return cudaSuccess;
}
cudaError_t cudaStreamGetId(cudaStream_t s, unsigned long long* id) {
  *id = stream(s)->id;
  return cudaSuccess;
}
cudaError_t cudaStreamGetDevice(cudaStream_t, int* d) {
  *d = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  LOCK;
  return waitCall(s, false);
}
cudaError_t cudaStreamQuery(cudaStream_t s) { return cudaStreamSynchronize(s); }
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  LOCK;
  if (e->capture) {  // the stream joins the capture that recorded the event
    CUstream_st* st = stream(s);
    if (st->capture && st->capture != e->capture) return result(cudaErrorStreamCaptureUnsupported);
    st->capture = e->capture;
  }
  return sticky ? result(sticky) : cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  *e = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  delete e;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  LOCK;
  e->capture = stream(s)->capture;
  e->recorded = !e->capture;
  e->seconds = now();
  return sticky ? result(sticky) : cudaSuccess;
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned flags) {
  if (flags != cudaEventRecordExternal) return cudaEventRecord(e, s);
  LOCK;
  CUstream_st* st = stream(s);
  if (!st->capture) return result(cudaErrorInvalidValue);
  NodeData d;  // an event of the graph, which every launch records
  d.type = cudaGraphNodeTypeEventRecord;
  d.work = [e] {
    e->recorded = true;
    e->seconds = now();
    return cudaSuccess;
  };
  return enqueue(s, d);
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  fflush(stdout);
  if (e->capture) return result(cudaErrorStreamCaptureUnsupported);
  return sticky ? result(sticky) : cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t e) { return cudaEventSynchronize(e); }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t a, cudaEvent_t b) {
  if (!a->recorded || !b->recorded) return result(cudaErrorInvalidResourceHandle);
  *ms = (float)((b->seconds - a->seconds) * 1e3);
  return cudaSuccess;
}

// ---- capture and graphs: nodes run in the order in which they were added
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode) {
  LOCK;
  CUstream_st* st = stream(s);
  if (!s || s == cudaStreamLegacy) return result(cudaErrorStreamCaptureUnsupported);
  if (st->capture) return result(cudaErrorIllegalState);
  st->capture = new CUgraph_st;
  st->origin = true;
  st->mode = mode;
  st->broken = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g) {
  LOCK;
  CUstream_st* st = stream(s);
  *g = nullptr;
  if (!st->capture || !st->origin) return result(cudaErrorIllegalState);
  CUgraph_st* graph = st->capture;
  bool broken = false;
  for (auto* x : streams())
    if (x->capture == graph) {
      broken |= x->broken;
      x->capture = nullptr;
      x->origin = x->broken = false;
    }
  stream(cudaStreamPerThread)->capture = nullptr;
  if (broken) {
    delete graph;
    return result(cudaErrorStreamCaptureInvalidated);
  }
  *g = graph;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status) {
  CUstream_st* st = stream(s);
  *status = !st->capture ? cudaStreamCaptureStatusNone
            : st->broken ? cudaStreamCaptureStatusInvalidated
                         : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t s, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* g,
                                     const cudaGraphNode_t** deps, const cudaGraphEdgeData** edges,
                                     size_t* n) {
  if (deps || edges || n) unsupported("cudaStreamGetCaptureInfo with dependencies");
  if (id) *id = (unsigned long long)stream(s)->capture;
  if (g) *g = stream(s)->capture;
  return cudaStreamIsCapturing(s, status);
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
cudaError_t cudaGraphCreate(cudaGraph_t* g, unsigned) {
  *g = new CUgraph_st;
  return cudaSuccess;
}
static void releaseLast(const std::shared_ptr<vector<void*>>& allocations) {
  if (allocations.use_count() == 1)
    for (void* p : *allocations) release(p);
}
cudaError_t cudaGraphDestroy(cudaGraph_t g) {
  LOCK;
  if (g) releaseLast(g->allocations);
  delete g;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* e, cudaGraph_t g, unsigned long long) {
  LOCK;
  *e = new CUgraphExec_st;
  (*e)->allocations = g->allocations;
  for (auto& n : g->nodes) (*e)->items.push_back({n.get(), n->d});
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* e, cudaGraph_t g,
                                          unsigned long long flags) {
  return cudaGraphInstantiate(e, g, flags);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s) {
  LOCK;
  for (auto& i : e->items)
    if (cudaError_t r = enqueue(s, i.d)) return r;
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) {
  LOCK;
  if (e) releaseLast(e->allocations);
  delete e;
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t e, cudaGraph_t g,
                                cudaGraphExecUpdateResultInfo* r) {
  LOCK;
  if (r) memset(r, 0, sizeof *r);
  auto refuse = [&](cudaGraphExecUpdateResult why) {
    if (r) r->result = why;
    return result(cudaErrorGraphExecUpdateFailure);
  };
  if (e->items.size() != g->nodes.size()) return refuse(cudaGraphExecUpdateErrorTopologyChanged);
  for (size_t i = 0; i < e->items.size(); i++) {
    auto &a = e->items[i].d, &b = g->nodes[i]->d;
    if (a.type != b.type) return refuse(cudaGraphExecUpdateErrorNodeTypeChanged);
    if (a.kernel.func != b.kernel.func) return refuse(cudaGraphExecUpdateErrorFunctionChanged);
  }
  for (size_t i = 0; i < e->items.size(); i++) e->items[i].d = g->nodes[i]->d;
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t g, cudaGraphNode_t* out, size_t* n) {
  LOCK;
  if (!out) {
    *n = g->nodes.size();
    return cudaSuccess;
  }
  for (size_t i = 0; i < *n; i++) out[i] = i < g->nodes.size() ? g->nodes[i].get() : nullptr;
  *n = std::min(*n, g->nodes.size());
  return cudaSuccess;
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t n, cudaGraphNodeType* t) {
  *t = n->d.type;
  return cudaSuccess;
}
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* out, cudaGraph_t g, const cudaGraphNode_t* deps,
                                   size_t n, const cudaKernelNodeParams* p) {
  LOCK;
  cudaError_t e;
  NodeData d = kernelNode(p, &e);
  if (!e) *out = addNode(g, std::move(d), deps, n);
  return e;
}
cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* out, cudaGraph_t g,
                                     const cudaGraphNode_t* deps, size_t n, void* d, const void* s,
                                     size_t bytes, cudaMemcpyKind k) {
  LOCK;
  *out = addNode(g, copyNode(d, s, bytes, k), deps, n);
  return cudaSuccess;
}
cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* out, cudaGraph_t g, const cudaGraphNode_t* deps,
                                   size_t n, const cudaMemsetParams* p) {
  LOCK;
  *out = addNode(g, fillNode(*p), deps, n);
  return cudaSuccess;
}
cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* out, cudaGraph_t g, const cudaGraphNode_t* deps,
                                 size_t n, const cudaHostNodeParams* p) {
  LOCK;
  NodeData d;
  d.type = cudaGraphNodeTypeHost;
  cudaHostNodeParams h = *p;
  d.work = [h] {
    h.fn(h.userData);
    return cudaSuccess;
  };
  *out = addNode(g, std::move(d), deps, n);
  return cudaSuccess;
}
cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* out, cudaGraph_t g, const cudaGraphNode_t* deps,
                                  size_t n) {
  LOCK;
  *out = addNode(g, NodeData(), deps, n);
  return cudaSuccess;
}
cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t n, cudaKernelNodeParams* p) {
  LOCK;
  memset(p, 0, sizeof *p);
  KernelCall& k = n->d.kernel;
  p->func = (void*)k.func;
  p->gridDim = k.grid;
  p->blockDim = k.block;
  p->sharedMemBytes = (unsigned)k.shared;
  n->d.kernelPointers.clear();
  for (auto& v : k.values) n->d.kernelPointers.push_back(v.data());
  p->kernelParams = n->d.kernelPointers.data();
  return cudaSuccess;
}
cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t n, const cudaKernelNodeParams* p) {
  LOCK;
  cudaError_t e;
  NodeData d = kernelNode(p, &e);
  if (!e) n->d = std::move(d);
  return e;
}
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t x, cudaGraphNode_t n,
                                             const cudaKernelNodeParams* p) {
  LOCK;
  auto* i = findItem(x, n);
  if (!i || i->d.type != cudaGraphNodeTypeKernel) return result(cudaErrorInvalidValue);
  cudaError_t e;
  NodeData d = kernelNode(p, &e);
  if (!e) i->d = std::move(d);
  return e;
}
cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t x, cudaGraphNode_t n, void* d,
                                               const void* s, size_t bytes, cudaMemcpyKind k) {
  LOCK;
  auto* i = findItem(x, n);
  if (!i || i->d.type != cudaGraphNodeTypeMemcpy) return result(cudaErrorInvalidValue);
  i->d = copyNode(d, s, bytes, k);
  return cudaSuccess;
}
cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t x, cudaGraphNode_t n,
                                             const cudaMemsetParams* p) {
  LOCK;
  auto* i = findItem(x, n);
  if (!i || i->d.type != cudaGraphNodeTypeMemset) return result(cudaErrorInvalidValue);
  i->d = fillNode(*p);
  return cudaSuccess;
}
}  // extern "C"
