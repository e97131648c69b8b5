// Registration, called by code that nvcc generates: fat binaries, kernels, variables.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cudart/runtime.hpp"

namespace ptxrun {
struct Module {
  ptx_module* loaded = nullptr;
  vector<std::pair<int, string>> texts;  // of PTX, with the architecture that each is for
};

namespace {
struct Variable {
  Module* module;
  string name;
  size_t size;
};
// Registration may run before constructors of this file have, hence functions with statics.
std::map<const void*, Kernel>& kernels() {
  static auto* map = new std::map<const void*, Kernel>;
  return *map;
}
std::map<const void*, Variable>& variables() {
  static auto* map = new std::map<const void*, Variable>;
  return *map;
}

int target_of(const string& text) {
  size_t at = text.find(".target");
  at = at == string::npos ? at : text.find("sm_", at);
  return at == string::npos ? 0 : atoi(text.c_str() + at + 3);
}
void dump(const string& text) {
  const char* path = getenv("PTXRUN_DUMP");
  if (!path) {
    fprintf(stderr, "ptxrun: PTXRUN_DUMP=file.ptx writes the PTX that failed\n");
  } else if (FILE* file = fopen(path, "w")) {
    fputs(text.c_str(), file);
    fclose(file);
  }
}
// The newest text that the architecture runs.
ptx_module* load(Module& module) {
  if (module.loaded) return module.loaded;
  const std::pair<int, string>* best = nullptr;
  for (auto& text : module.texts)
    if (text.first <= architecture() && (!best || text.first > best->first)) best = &text;
  if (!best) {
    fprintf(stderr,
            "ptxrun: no usable PTX in the program for compute capability %d (compile with -gencode "
            "arch=compute_80,code=compute_80 --no-compress)\n",
            architecture());
    exit(99);
  }
  module.loaded = ptx_load(best->second.c_str());
  if (!module.loaded) {
    fprintf(stderr, "ptxrun: %s\n", ptx_error());
    dump(best->second);
    exit(99);
  }
  return module.loaded;
}

template <class T>
T read(const unsigned char* at) {
  T value;
  memcpy(&value, at, sizeof value);
  return value;
}
// The PTX of a fat binary: a header, then entries of kind, size of header, size, ..., flags.
void read_fat_binary(const unsigned char* data, Module& module) {
  if (read<unsigned>(data) != 0xBA55ED50) return;
  const unsigned char* at = data + read<unsigned short>(data + 6);
  const unsigned char* end = at + read<unsigned long long>(data + 8);
  while (at < end) {
    const auto kind = read<unsigned short>(at);
    const auto header = read<unsigned>(at + 4);
    const auto size = read<unsigned long long>(at + 8), flags = read<unsigned long long>(at + 40);
    if (!header) break;
    const bool is_ptx = kind == 1, compressed = flags & (0x2000 | 0x8000);
    if (is_ptx && compressed) {
      fprintf(stderr, "ptxrun: the program holds compressed PTX; compile with --no-compress\n");
    } else if (is_ptx) {
      const char* text = (const char*)at + header;
      module.texts.emplace_back(0, string(text, strnlen(text, size)));
      module.texts.back().first = target_of(module.texts.back().second);
    }
    at += header + size;
  }
}

// Null: the variable is none of ours.
const Variable* find_variable(const void* symbol) {
  auto it = variables().find(symbol);
  return it == variables().end() ? nullptr : &it->second;
}
char* address_of(const Variable& variable) {
  return (char*)ptx_symbol(load(*variable.module), variable.name.c_str(), nullptr);
}
cudaError_t copy_symbol(const void* symbol, void* other, size_t bytes, size_t offset,
                        bool to_symbol, cudaStream_t stream) {
  ApiLock lock;
  const Variable* variable = find_variable(symbol);
  char* p = variable ? address_of(*variable) : nullptr;
  if (!p) return result(cudaErrorInvalidSymbol);
  if (offset + bytes > variable->size)
    return complain(cudaErrorInvalidValue, "copy of %zu bytes at offset %zu runs over symbol %s",
                    bytes, offset, variable->name.c_str());
  p += offset;
  return enqueue(stream, Work(cudaGraphNodeTypeMemcpy, [=] {
                   memmove(to_symbol ? p : other, to_symbol ? other : p, bytes);
                   return cudaSuccess;
                 }));
}
}  // namespace

ptx_module* Kernel::load() const { return ptxrun::load(*module); }
Kernel* find_kernel(const void* host_function) {
  auto it = kernels().find(host_function);
  return it == kernels().end() ? nullptr : &it->second;
}
}  // namespace ptxrun

using namespace ptxrun;
extern "C" {
void** __cudaRegisterFatBinary(void* wrapper) {
  struct Wrapper {
    int magic, version;
    const unsigned char* data;
    void* rest;
  };
  auto* module = new Module;
  read_fat_binary(((Wrapper*)wrapper)->data, *module);
  return (void**)module;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void** module, const char* host, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  kernels()[host] = Kernel{(Module*)module, name};
}
void __cudaRegisterVar(void** module, char* host, char*, const char* name, int, size_t size, int,
                       int) {
  variables()[host] = Variable{(Module*)module, name, size};
}
void __cudaRegisterManagedVar(void** module, void** host, char*, const char* name, int, size_t size,
                              int, int) {
  variables()[host] = Variable{(Module*)module, name, size};
  *host = address_of(variables()[host]);
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  *kernel = (cudaKernel_t)host_function;
  return cudaSuccess;
}
cudaError_t cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  return __cudaGetKernel(kernel, host_function);
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset,
                               cudaMemcpyKind) {
  return copy_symbol(symbol, (void*)from, bytes, offset, true, nullptr);
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes, size_t offset,
                                 cudaMemcpyKind) {
  return copy_symbol(symbol, to, bytes, offset, false, nullptr);
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes,
                                    size_t offset, cudaMemcpyKind, cudaStream_t stream) {
  return copy_symbol(symbol, (void*)from, bytes, offset, true, stream);
}
cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t bytes, size_t offset,
                                      cudaMemcpyKind, cudaStream_t stream) {
  return copy_symbol(symbol, to, bytes, offset, false, stream);
}
cudaError_t cudaGetSymbolAddress(void** p, const void* symbol) {
  ApiLock lock;
  const Variable* variable = find_variable(symbol);
  *p = variable ? address_of(*variable) : nullptr;
  return *p ? cudaSuccess : result(cudaErrorInvalidSymbol);
}
cudaError_t cudaGetSymbolSize(size_t* size, const void* symbol) {
  ApiLock lock;
  const Variable* variable = find_variable(symbol);
  if (!variable) return result(cudaErrorInvalidSymbol);
  *size = variable->size;
  return cudaSuccess;
}
}
