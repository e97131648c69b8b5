#pragma once

#include <cstddef>
#include <initializer_list>
#include <unordered_map>
#include <utility>

#include <dnnl.hpp>
#include <omp.h>

#include "engine/error.hpp"
#include "kernels/precision.hpp"

/// What the operations built on oneDNN share. All primitives run on the calling thread's OpenMP
/// team, or on one thread inside a parallel region.
namespace pixeldp::kernels::onednn {

inline const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// Threads that a primitive made here and now would use: part of what identifies it.
inline int team_size() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

inline dnnl::memory wrap(const dnnl::memory::desc& desc, const void* data) {
  return {desc, engine(), const_cast<void*>(data)};
}

/// Attributes of a primitive: scratch memory is the caller's (see run).
inline dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// How a primitive computes: what defines it, and for a backward pass the description of its
/// forward pass. oneDNN 2 takes that in a structure, oneDNN 3 as arguments.
template <typename Primitive, typename... Definition>
typename Primitive::primitive_desc describe(const Definition&... definition) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), definition..., attributes()};
#else
  return {typename Primitive::desc(definition...), attributes(), engine()};
#endif
}

template <typename Primitive, typename Forward, typename... Definition>
typename Primitive::primitive_desc describe_backward(const Forward& forward,
                                                     const Definition&... definition) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), definition..., forward, attributes()};
#else
  return {typename Primitive::desc(definition...), attributes(), engine(), forward};
#endif
}

/// Executes a primitive with scratch memory of the calling thread, so that one primitive may run on
/// several threads at once.
void run(const dnnl::primitive& primitive, const dnnl::memory::desc& scratch,
         std::unordered_map<int, dnnl::memory> arguments);

/// Copies between layouts.
void reorder(const dnnl::memory& from, const dnnl::memory& to);

/// The type of operands in that precision. Throws an Error for one that this processor does not
/// multiply in.
dnnl::memory::data_type operand_type(Precision precision);

/// The operands of one primitive, in the layouts and types that it takes: as they are where those
/// are theirs, else as copies in memory of the calling thread, which its next Operands overwrite.
class Operands {
 public:
  dnnl::memory take(const dnnl::memory::desc& from, const void* data,
                    const dnnl::memory::desc& taken);

 private:
  std::size_t used_ = 0;
};

/// Calls f and turns a oneDNN error into ours; `what` names the operation and its shape.
template <typename F>
auto guarded(const std::string& what, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    fail("oneDNN cannot run {}: {} (status {})", what, error.what(),
         static_cast<int>(error.status));
  }
}

}  // namespace pixeldp::kernels::onednn
