#include "kernels/cuda/libraries/library.hpp"

#include <dlfcn.h>

namespace pixeldp::kernels {

Library::Library(const char* file, const char* probe) {
  // Of the program itself, dlopen gives a handle that is not null, as RTLD_DEFAULT is.
  handle_ = dlopen(nullptr, RTLD_NOW);
  if (address(probe) == nullptr) handle_ = dlopen(file, RTLD_NOW | RTLD_LOCAL);
}

void* Library::address(const char* name) const {
  return handle_ != nullptr ? dlsym(handle_, name) : nullptr;
}

}  // namespace pixeldp::kernels
