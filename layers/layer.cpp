#include "layers/layer.hpp"

#include <functional>
#include <numeric>

#include "engine/error.hpp"

namespace pixeldp::layers {

NamedTensor::NamedTensor(std::string tensor_name, std::vector<std::int64_t> extents)
    : name(std::move(tensor_name)), shape(std::move(extents)) {
  const Shape flat{
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())};
  value = Tensor(flat);
}

int Layer::plan(kernels::InferencePlan&, int, const Shape&) const {
  fail("layer {} cannot follow the noise: it has no plan", name());
}

void Saved::hold(std::size_t tensor_count, std::size_t part_count) {
  tensors.resize(tensor_count);
  parts.resize(part_count);
  for (Saved& part : parts) part.mode = mode;
}

}  // namespace pixeldp::layers
