#include "layers/layer.hpp"

#include <functional>
#include <numeric>

namespace pixeldp::layers {

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
