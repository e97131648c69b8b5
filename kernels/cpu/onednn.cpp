#include "kernels/cpu/onednn.hpp"

#include <array>

namespace pixeldp::kernels::onednn {
namespace {

dnnl::stream& stream() {
  thread_local dnnl::stream s(engine());
  return s;
}

/// Memory of at least the size of `desc`, which grows as it must, under that description.
dnnl::memory from_pool(dnnl::memory& pool, const dnnl::memory::desc& desc) {
  if (!pool || pool.get_desc().get_size() < desc.get_size()) pool = dnnl::memory(desc, engine());
  return {desc, engine(), pool.get_data_handle()};
}

}  // namespace

void run(const dnnl::primitive& primitive, const dnnl::memory::desc& scratch,
         std::unordered_map<int, dnnl::memory> arguments) {
  thread_local dnnl::memory pool;
  if (scratch.get_size() > 0) arguments.emplace(DNNL_ARG_SCRATCHPAD, from_pool(pool, scratch));
  primitive.execute(stream(), arguments);
  stream().wait();
}

void reorder(const dnnl::memory& from, const dnnl::memory& to) {
  dnnl::reorder(from, to).execute(stream(), const_cast<dnnl::memory&>(from),
                                  const_cast<dnnl::memory&>(to));
  stream().wait();
}

dnnl::memory::data_type operand_type(Precision precision) {
  if (const std::string obstacle = product_obstacle(precision); !obstacle.empty())
    fail("{}: multiply in fp32", obstacle);
  return precision == Precision::bf16 ? dnnl::memory::data_type::bf16
                                      : dnnl::memory::data_type::f32;
}

dnnl::memory Operands::take(const dnnl::memory::desc& from, const void* data,
                            const dnnl::memory::desc& taken) {
  if (from == taken) return wrap(from, data);
  thread_local std::array<dnnl::memory, 2> pools;
  const dnnl::memory copy = from_pool(pools.at(used_++), taken);
  reorder(wrap(from, data), copy);
  return copy;
}

}  // namespace pixeldp::kernels::onednn
