#include "kernels/cuda/column_sums.hpp"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/loss.hpp"
#include "kernels/cuda/parseval.hpp"
#include "kernels/cuda/sgd.hpp"
#include "kernels/elementwise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/ptx/training_on_device.hpp"

namespace pixeldp::kernels::cuda {

void ActivationCase::run() {
  const DeviceArray<float> device_y(y), device_gradient(gradient);
  const auto size = static_cast<std::int64_t>(y.size() - skip);
  kernels::activation_backward(test_stream(), activation, size, device_y.data() + skip,
                               device_gradient.data() + skip);
  kernels::activate(test_stream(), activation, size, device_y.data() + skip);
  y = device_y.values(), gradient = device_gradient.values();
}

void LossCase::run() {
  const DeviceArray<float> z(logits);
  const DeviceArray<std::int32_t> device_labels(labels);
  const DeviceArray<LossResult> device_result(1);
  kernels::softmax_cross_entropy(test_stream(), rows, classes, z.data(), device_labels.data(),
                                 z.data(), device_result.data());
  dlogits = z.values();
  result = device_result.values()[0];
}

std::vector<SgdStep> SgdCase::at(float* array) const {
  std::vector<SgdStep> result;
  for (const Step& s : steps)
    result.push_back({s.params, s.size, array + s.gradient, array + s.velocity, array + s.weight});
  return result;
}

void SgdCase::run() {
  const DeviceArray<float> device(values);
  kernels::sgd_steps(test_stream(), at(device.data()));
  values = device.values();
}

void ParsevalCase::run() {
  const DeviceArray<float> device_weight(weight);
  const std::vector<std::uint64_t> before = {bad_loop};
  const DeviceArray<std::uint64_t> status(before);
  kernels::parseval_project(test_stream(), params, device_weight.data(), status.data());
  weight = device_weight.values();
  bad_loop = status.values()[0];
}

void BallCase::run() {
  const DeviceArray<float> device_centre(centre), device_gradient(gradient), device_x(x);
  kernels::step_in_ball(test_stream(), params, device_centre.data(), device_gradient.data(),
                        device_x.data());
  x = device_x.values();
}

std::vector<float> normalised_slices(const SliceNormParams& params,
                                     const std::vector<float>& weight) {
  const DeviceArray<float> device(weight);
  kernels::normalise_slices(test_stream(), params, device.data());
  return device.values();
}

std::vector<float> average_of_rows(std::int64_t rows, std::int64_t columns,
                                   const std::vector<float>& x) {
  const DeviceArray<float> in(x), means(static_cast<std::size_t>(columns));
  kernels::average_rows(test_stream(), rows, columns, in.data(), means.data());
  return means.values();
}

std::vector<float> column_sums_of(std::int64_t rows, std::int64_t columns,
                                  const std::vector<float>& x) {
  const DeviceArray<float> in(x), sums(static_cast<std::size_t>(columns));
  column_sums(nullptr, rows, columns, in.data(), sums.data());
  return sums.values();
}

}  // namespace pixeldp::kernels::cuda
