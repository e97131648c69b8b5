// Streams, events, and the capture of streams into graphs.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cudart/graph.hpp"

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

namespace ptxrun {
namespace {
vector<CUstream_st*>& streams() {
  static auto* all = new vector<CUstream_st*>;  // lives until the process ends
  return *all;
}
bool is_legacy(cudaStream_t s) { return !s || s == cudaStreamLegacy; }
CUstream_st* stream_of(cudaStream_t s) {
  static auto* standard = new CUstream_st;
  return is_legacy(s) || s == cudaStreamPerThread ? standard : s;
}
cudaError_t run(const Work& work) {
  if (work.type == cudaGraphNodeTypeKernel) return run_kernel(work.kernel);
  return work.run ? work.run() : cudaSuccess;
}
// Breaks the captures of the streams that this holds for. True: there are some.
template <class F>
bool break_captures(F holds) {
  bool any = false;
  for (auto* s : streams())
    if (s->capture && holds(*s)) any = s->broken = true;
  return any;
}
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
}  // namespace

cudaError_t enqueue(cudaStream_t stream, Work work) {
  if (CUgraph_st* graph = stream_of(stream)->capture) {
    vector<CUgraphNode_st*> dependencies;
    if (!graph->nodes.empty()) dependencies.push_back(graph->nodes.back().get());
    graph->add(std::move(work), std::move(dependencies));
    return cudaSuccess;
  }
  if (cudaError_t error = result(cudaSuccess)) return error;
  // The default stream waits for all blocking streams.
  if (is_legacy(stream) &&
      break_captures([](CUstream_st& s) { return !(s.flags & cudaStreamNonBlocking); }))
    return complain(cudaErrorStreamCaptureImplicit,
                    "work on the default stream while a blocking stream is being captured");
  return result(run(work));
}
bool unsafe_in_capture(const char* what) {
  bool unsafe = break_captures(
      [](CUstream_st& s) { return s.origin && s.mode != cudaStreamCaptureModeRelaxed; });
  if (unsafe) fprintf(stderr, "ptxrun: %s while a stream is being captured\n", what);
  return unsafe;
}
cudaError_t wait_for_device() {
  fflush(stdout);
  bool any = break_captures([](CUstream_st&) { return true; });
  if (CUstream_st* s = stream_of(nullptr); s->capture) any = s->broken = true;
  return result(any ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
bool is_capturing(cudaStream_t stream) { return stream_of(stream)->capture; }
void give_to_graph(cudaStream_t stream, void* buffer) {
  if (CUgraph_st* graph = stream_of(stream)->capture) graph->buffers->push_back(buffer);
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
// ---- streams
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  ApiLock lock;
  static unsigned long long next_id = 1;
  *stream = new CUstream_st;
  (*stream)->flags = flags;
  (*stream)->priority = priority;
  (*stream)->id = next_id++;
  streams().push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, 0, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  ApiLock lock;
  auto it = std::find(streams().begin(), streams().end(), stream);
  if (it == streams().end()) return result(cudaErrorInvalidResourceHandle);
  streams().erase(it);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  *flags = stream_of(stream)->flags;
  return cudaSuccess;
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  *priority = stream_of(stream)->priority;
  return cudaSuccess;
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  *id = stream_of(stream)->id;
  return cudaSuccess;
}
cudaError_t cudaStreamGetDevice(cudaStream_t, int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ApiLock lock;
  fflush(stdout);
  CUstream_st* s = stream_of(stream);
  if (!s->capture) return result(cudaSuccess);
  s->broken = true;
  return result(cudaErrorStreamCaptureUnsupported);
}
cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  ApiLock lock;
  if (event->capture) {  // the stream joins the capture that recorded the event
    CUstream_st* s = stream_of(stream);
    if (s->capture && s->capture != event->capture)
      return result(cudaErrorStreamCaptureUnsupported);
    s->capture = event->capture;
  }
  return result(cudaSuccess);
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* user) {
  ApiLock lock;
  return enqueue(stream, Work(cudaGraphNodeTypeHost, [=] {
                   function(user);
                   return cudaSuccess;
                 }));
}

// ---- events
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  ApiLock lock;
  event->capture = stream_of(stream)->capture;
  event->recorded = !event->capture;
  event->seconds = now();
  return result(cudaSuccess);
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  if (flags != cudaEventRecordExternal) return cudaEventRecord(event, stream);
  ApiLock lock;
  if (!stream_of(stream)->capture) return result(cudaErrorInvalidValue);
  // An event of the graph, which every launch records.
  return enqueue(stream, Work(cudaGraphNodeTypeEventRecord, [event] {
                   event->recorded = true;
                   event->seconds = now();
                   return cudaSuccess;
                 }));
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  fflush(stdout);
  return result(event->capture ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}
cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (!from->recorded || !to->recorded) return result(cudaErrorInvalidResourceHandle);
  *milliseconds = (float)((to->seconds - from->seconds) * 1e3);
  return cudaSuccess;
}

// ---- capture
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  ApiLock lock;
  if (is_legacy(stream)) return result(cudaErrorStreamCaptureUnsupported);
  CUstream_st* s = stream_of(stream);
  if (s->capture) return result(cudaErrorIllegalState);
  s->capture = new CUgraph_st;
  s->origin = true;
  s->mode = mode;
  s->broken = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  ApiLock lock;
  CUstream_st* s = stream_of(stream);
  *graph = nullptr;
  if (!s->capture || !s->origin) return result(cudaErrorIllegalState);
  std::unique_ptr<CUgraph_st> recorded(s->capture);
  bool broken = false;
  for (auto* member : streams())
    if (member->capture == recorded.get()) {
      broken |= member->broken;
      member->capture = nullptr;
      member->origin = member->broken = false;
    }
  stream_of(cudaStreamPerThread)->capture = nullptr;
  if (broken) return result(cudaErrorStreamCaptureInvalidated);
  *graph = recorded.release();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const CUstream_st* s = stream_of(stream);
  *status = !s->capture ? cudaStreamCaptureStatusNone
            : s->broken ? cudaStreamCaptureStatusInvalidated
                        : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  if (dependencies || edges || count) unsupported("cudaStreamGetCaptureInfo with dependencies");
  CUgraph_st* capture = stream_of(stream)->capture;
  if (id) *id = (unsigned long long)capture;
  if (graph) *graph = capture;
  return cudaStreamIsCapturing(stream, status);
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
}
