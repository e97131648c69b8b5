#include "kernels/cpu/onednn.hpp"

namespace pixeldp::kernels::onednn {
namespace {

dnnl::stream& stream() {
  thread_local dnnl::stream s(engine());
  return s;
}

}  // namespace

void run(const dnnl::primitive& primitive, const dnnl::memory::desc& scratch,
         std::unordered_map<int, dnnl::memory> arguments) {
  thread_local dnnl::memory pool;
  if (scratch.get_size() > 0) {
    if (!pool || pool.get_desc().get_size() < scratch.get_size())
      pool = dnnl::memory(scratch, engine());
    arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(scratch, engine(), pool.get_data_handle()));
  }
  primitive.execute(stream(), arguments);
  stream().wait();
}

void reorder(const dnnl::memory& from, const dnnl::memory& to) {
  dnnl::reorder(from, to).execute(stream(), const_cast<dnnl::memory&>(from),
                                  const_cast<dnnl::memory&>(to));
  stream().wait();
}

}  // namespace pixeldp::kernels::onednn
