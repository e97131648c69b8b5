#include "layers/global_pool.hpp"

#include "engine/error.hpp"
#include "kernels/pooling.hpp"

namespace pixeldp::layers {
namespace {

kernels::GlobalPoolShape pool_shape(const Shape& x) { return {x[0], x[1] * x[2], x[3]}; }

class PreparedPool : public kernels::Prepared {
 public:
  PreparedPool(const Stream& stream, const kernels::GlobalPoolShape& shape)
      : stream_(stream), shape_(shape) {}
  void run(const float* x, float* y, const float*) const override {
    kernels::global_average_pool(stream_, shape_, x, y);
  }

 private:
  Stream stream_;
  kernels::GlobalPoolShape shape_;
};

}  // namespace

Shape GlobalAveragePool::output_shape(const Shape& input) const {
  if (input.rank() != 4) fail("layer {} takes images, not {}", name_, input.text());
  return {input[0], input[3]};
}

void GlobalAveragePool::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved&) {
  y.resize(output_shape(x.shape()), stream.device());
  kernels::global_average_pool(stream, pool_shape(x.shape()), x.data(), y.data());
}

void GlobalAveragePool::backward(const Stream& stream, const Tensor& x, const Tensor&, Saved&,
                                 Tensor& dy, Tensor* dx) {
  if (!dx) return;
  dx->resize(x.shape(), stream.device());
  kernels::global_average_pool_backward(stream, pool_shape(x.shape()), dy.data(), dx->data());
}

std::unique_ptr<kernels::Prepared> GlobalAveragePool::prepare(const Stream& stream,
                                                              const Shape& input,
                                                              kernels::Precision) const {
  output_shape(input);
  return std::make_unique<PreparedPool>(stream, pool_shape(input));
}

int GlobalAveragePool::plan(kernels::InferencePlan& plan, int x, const Shape& input) const {
  return plan.add({.kind = kernels::InferenceStep::Kind::pool,
                   .name = name_,
                   .input = x,
                   .outputs = output_shape(input)[1]});
}

}  // namespace pixeldp::layers
