// Copies and fills of memory, in the order of a stream.
#include <cstring>

#include "cudart/runtime.hpp"

namespace ptxrun {
namespace {
bool check_copy(const void* to, const void* from, size_t to_bytes, size_t from_bytes,
                cudaMemcpyKind kind, const char* what) {
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault) {
    to_device = ptx_find_buffer(to, nullptr, nullptr);
    from_device = ptx_find_buffer(from, nullptr, nullptr);
  }
  return check_range(to, to_bytes, to_device, what) &&
         check_range(from, from_bytes, from_device, what);
}
cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream,
                 const char* what) {
  ApiLock lock;
  if (!check_copy(to, from, bytes, bytes, kind, what)) return result(cudaErrorInvalidValue);
  return enqueue(stream, copy_work(to, from, bytes, kind, what));
}
cudaError_t copy_2d(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                    size_t height, cudaMemcpyKind kind, cudaStream_t stream, const char* what) {
  ApiLock lock;
  if (width > to_pitch || width > from_pitch) return result(cudaErrorInvalidPitchValue);
  if (!width || !height) return cudaSuccess;
  if (!check_copy(to, from, to_pitch * (height - 1) + width, from_pitch * (height - 1) + width,
                  kind, what))
    return result(cudaErrorInvalidValue);
  return enqueue(stream, Work(cudaGraphNodeTypeMemcpy, [=] {
                   for (size_t i = 0; i < height; i++)
                     memmove((char*)to + i * to_pitch, (const char*)from + i * from_pitch, width);
                   return cudaSuccess;
                 }));
}

bool check_fill(const Fill& fill, const char* what) {
  return !fill.width || !fill.height ||
         check_range(fill.to, fill.pitch * (fill.height - 1) + fill.width * fill.element, true,
                     what);
}
cudaError_t fill(const Fill& fill, cudaStream_t stream, const char* what) {
  ApiLock lock;
  if (!fill.width || !fill.height) return cudaSuccess;
  if (!check_fill(fill, what)) return result(cudaErrorInvalidValue);
  return enqueue(stream, fill_work(fill, what));
}
}  // namespace

Work copy_work(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* what) {
  return Work(cudaGraphNodeTypeMemcpy, [=] {
    if (!check_copy(to, from, bytes, bytes, kind, what)) return cudaErrorInvalidValue;
    memmove(to, from, bytes);
    return cudaSuccess;
  });
}
Work fill_work(const Fill& fill, const char* what) {
  return Work(cudaGraphNodeTypeMemset, [=] {
    if (!check_fill(fill, what)) return cudaErrorInvalidValue;
    for (size_t i = 0; i < fill.height; i++) {
      char* row = (char*)fill.to + i * fill.pitch;
      if (fill.element == 1)
        memset(row, (int)fill.value, fill.width);
      else
        for (size_t j = 0; j < fill.width; j++)
          memcpy(row + j * fill.element, &fill.value, fill.element);
    }
    return cudaSuccess;
  });
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy(to, from, bytes, kind, nullptr, "cudaMemcpy");
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy(to, from, bytes, kind, stream, "cudaMemcpyAsync");
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
  return copy_2d(to, to_pitch, from, from_pitch, width, height, kind, nullptr, "cudaMemcpy2D");
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return copy_2d(to, to_pitch, from, from_pitch, width, height, kind, stream, "cudaMemcpy2DAsync");
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return fill({to, bytes, (unsigned)value, 1, bytes, 1}, nullptr, "cudaMemset");
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return fill({to, bytes, (unsigned)value, 1, bytes, 1}, stream, "cudaMemsetAsync");
}
cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return fill({to, pitch, (unsigned)value, 1, width, height}, nullptr, "cudaMemset2D");
}
cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  return fill({to, pitch, (unsigned)value, 1, width, height}, stream, "cudaMemset2DAsync");
}
}
