// The last error, and the names of errors.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "cudart/runtime.hpp"

namespace ptxrun {
namespace {
thread_local cudaError_t last_error = cudaSuccess;
cudaError_t sticky_error = cudaSuccess;

struct ErrorName {
  cudaError_t error;
  const char *name, *text;
};
#define ERROR(name, text) \
  { name, #name, text }
const ErrorName error_names[] = {
    ERROR(cudaSuccess, "no error"),
    ERROR(cudaErrorInvalidValue, "invalid argument"),
    ERROR(cudaErrorMemoryAllocation, "out of memory"),
    ERROR(cudaErrorInitializationError, "initialization error"),
    ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ERROR(cudaErrorInvalidPitchValue, "invalid pitch argument"),
    ERROR(cudaErrorInvalidSymbol, "invalid device symbol"),
    ERROR(cudaErrorMissingConfiguration, "__global__ function call is not configured"),
    ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ERROR(cudaErrorNotReady, "device not ready"),
    ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ERROR(cudaErrorMisalignedAddress, "misaligned address"),
    ERROR(cudaErrorAssert, "device-side assert triggered"),
    ERROR(cudaErrorLaunchFailure, "unspecified launch failure (see the ptxrun message)"),
    ERROR(cudaErrorNotSupported, "operation not supported"),
    ERROR(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    ERROR(cudaErrorStreamCaptureInvalidated,
          "operation failed due to a previous error during capture"),
    ERROR(cudaErrorStreamCaptureImplicit,
          "operation would make the legacy stream depend on a capturing blocking stream"),
    ERROR(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    ERROR(cudaErrorGraphExecUpdateFailure, "the graph update was not performed")};
#undef ERROR
const ErrorName& name_of(cudaError_t error) {
  static const ErrorName unknown = {cudaErrorUnknown, "unrecognized error code",
                                    "unrecognized error code"};
  for (auto& known : error_names)
    if (known.error == error) return known;
  return unknown;
}

struct LeakReport {
  ~LeakReport() {
    const char* wanted = getenv("PTXRUN_LEAKS");
    if (wanted && atoi(wanted) && ptx_live_buffers())
      fprintf(stderr, "ptxrun: %zu device buffers (%zu bytes) were never freed\n",
              ptx_live_buffers(), ptx_live_bytes());
  }
} leak_report;

std::recursive_mutex& api_mutex() {
  static auto* mutex = new std::recursive_mutex;  // lives until the process ends
  return *mutex;
}
}  // namespace

ApiLock::ApiLock() : lock_(api_mutex()) {}

cudaError_t result(cudaError_t error) {
  if (sticky_error) error = sticky_error;
  if (error) last_error = error;
  return error;
}
void set_sticky(cudaError_t error) { sticky_error = error; }
void forget_errors() { sticky_error = last_error = cudaSuccess; }

cudaError_t complain(cudaError_t error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("ptxrun: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs("\n", stderr);
  va_end(arguments);
  return result(error);
}

void unsupported(const char* what) {
  fprintf(stderr, "ptxrun: %s is not supported\n", what);
  abort();
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
cudaError_t cudaGetLastError(void) {
  cudaError_t error = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError(void) { return sticky_error ? sticky_error : last_error; }
const char* cudaGetErrorName(cudaError_t error) { return name_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return name_of(error).text; }
}
