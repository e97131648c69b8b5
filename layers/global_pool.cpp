#include "layers/global_pool.hpp"

#include "engine/error.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::layers {
namespace {

kernels::GlobalPoolShape pool_shape(const Shape& x) { return {x[0], x[1] * x[2], x[3]}; }

}  // namespace

Shape GlobalAveragePool::output_shape(std::span<const Shape> x) const {
  if (x[0].rank() != 4) fail("layer {} takes images, not {}", name(), x[0].text());
  return {x[0][0], x[0][3]};
}

void GlobalAveragePool::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y,
                                Saved&) {
  const Shape& shape = x[0]->shape();
  y.resize({shape[0], shape[3]}, pass.stream.device());
  kernels::global_average_pool(pass.stream, pool_shape(shape), x[0]->data(), y.data());
}

void GlobalAveragePool::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor&,
                                 Saved&, Tensor& dy, std::span<Tensor* const> dx) {
  if (!dx[0]) return;
  dx[0]->resize(x[0]->shape(), pass.stream.device());
  kernels::global_average_pool_backward(pass.stream, pool_shape(x[0]->shape()), dy.data(),
                                        dx[0]->data());
}

kernels::InferenceStep GlobalAveragePool::lower(const Stream&, std::span<const Shape> x) const {
  return {
      .kind = kernels::InferenceStep::Kind::pool, .name = name(), .outputs = output_shape(x)[1]};
}

}  // namespace pixeldp::layers
