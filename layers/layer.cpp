#include "layers/layer.hpp"

#include <numeric>

namespace pixeldp::layers {

Parameter::Parameter(std::string parameter_name, std::vector<std::int64_t> extents)
    : name(std::move(parameter_name)), shape(std::move(extents)) {
  const Shape flat{
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())};
  value = Tensor(flat);
}

}  // namespace pixeldp::layers
