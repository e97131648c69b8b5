#include "layers/layer.hpp"

#include <functional>
#include <numeric>
#include <utility>

namespace pixeldp::layers {
namespace {

/// Members of a layer that may be changed itself.
template <class T>
std::vector<T*> changeable(const std::vector<const T*>& members) {
  std::vector<T*> all;
  for (const T* member : members) all.push_back(const_cast<T*>(member));
  return all;
}

}  // namespace

std::vector<Parameter*> Layer::parameters() {
  return changeable(std::as_const(*this).parameters());
}

std::vector<LayerBuffer*> Layer::buffers() { return changeable(std::as_const(*this).buffers()); }

NamedTensor::NamedTensor(std::string tensor_name, std::vector<std::int64_t> extents)
    : name(std::move(tensor_name)), shape(std::move(extents)) {
  const Shape flat{
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())};
  value = Tensor(flat);
}

std::vector<float> host_values(const Stream& stream, const Tensor& tensor) {
  const Tensor on_host = tensor.to(stream, Device());
  return {on_host.values().begin(), on_host.values().end()};
}

}  // namespace pixeldp::layers
