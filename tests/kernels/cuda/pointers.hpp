#pragma once

#include <vector>

namespace pixeldp::kernels {

/// Where an argument of an operation lies, as whatever pointer the operation wants.
struct Pointer {
  void* address;

  template <class T>
  operator T*() const {
    return static_cast<T*>(address);
  }
};
using Pointers = std::vector<Pointer>;

}  // namespace pixeldp::kernels
