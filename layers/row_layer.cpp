#include "layers/row_layer.hpp"

namespace pixeldp::layers {
namespace {

std::vector<Shape> shapes_of(std::span<const Tensor* const> x) {
  std::vector<Shape> shapes;
  for (const Tensor* tensor : x) shapes.push_back(tensor->shape());
  return shapes;
}

std::vector<const float*> data_of(std::span<const Tensor* const> x) {
  std::vector<const float*> data;
  for (const Tensor* tensor : x) data.push_back(tensor->data());
  return data;
}

}  // namespace

void run_rows(const Pass& pass, const kernels::RowOperation& operation,
              std::span<const Tensor* const> x, const Shape& shape, Tensor& y) {
  y.resize(shape, pass.stream.device());
  kernels::run_rows(pass.stream, operation, shape[0], data_of(x), y.data());
}

void run_rows_backward(const Pass& pass, const kernels::RowOperation& operation,
                       std::span<const Tensor* const> x, const Tensor& y, const Tensor& dy,
                       std::span<Tensor* const> dx) {
  std::vector<float*> to;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (dx[i]) dx[i]->resize(x[i]->shape(), pass.stream.device());
    to.push_back(dx[i] ? dx[i]->data() : nullptr);
  }
  kernels::run_rows_backward(pass.stream, operation, y.rows(), data_of(x), y.data(), dy.data(), to);
}

kernels::InferenceStep operation_step(std::string name,
                                      std::shared_ptr<const kernels::RowOperation> operation) {
  return {.kind = kernels::InferenceStep::Kind::operation,
          .name = std::move(name),
          .operation = std::move(operation)};
}

void RowLayer::forward(const Pass& pass, std::span<const Tensor* const> x, Tensor& y, Saved&) {
  const std::vector<Shape> shapes = shapes_of(x);
  run_rows(pass, *operation(shapes), x, output_shape(shapes), y);
}

void RowLayer::backward(const Pass& pass, std::span<const Tensor* const> x, const Tensor& y, Saved&,
                        Tensor& dy, std::span<Tensor* const> dx) {
  run_rows_backward(pass, *operation(shapes_of(x)), x, y, dy, dx);
}

kernels::InferenceStep RowLayer::lower(const Stream&, std::span<const Shape> x) const {
  output_shape(x);
  return operation_step(name(), operation(x));
}

}  // namespace pixeldp::layers
