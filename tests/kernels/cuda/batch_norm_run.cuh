#pragma once

#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/pooling.hpp"
#include "kernels/cuda/standardise.hpp"
#include "tests/emulator/device_array.hpp"
#include "tests/kernels/batch_norm_case.hpp"
#include "tests/kernels/pooling_case.hpp"
#include "tests/kernels/standardise_case.hpp"

/// Runs the cases on the device that this is compiled for. Tensors begin `offset` elements after a
/// multiple of 256 bytes.
namespace pixeldp::kernels::PIXELDP_DEVICE {

template <class T>
class MovedArray {
 public:
  MovedArray(const std::vector<T>& values, std::size_t offset)
      : values_(values), offset_(offset), array_(moved()) {}
  T* data() const { return values_.empty() ? nullptr : array_.data() + offset_; }
  std::vector<T> values() const {
    const std::vector<T> all = array_.values();
    return {all.begin() + static_cast<std::ptrdiff_t>(offset_), all.end()};
  }

 private:
  std::vector<T> moved() const {
    std::vector<T> all(offset_, T{99});
    all.insert(all.end(), values_.begin(), values_.end());
    return all;
  }

  std::vector<T> values_;
  std::size_t offset_;
  DeviceArray<T> array_;
};
using Tensor = MovedArray<float>;
using Rounded = MovedArray<std::uint16_t>;

/// As kernels::run_on_processor.
inline void run(BatchNormCase& c, std::size_t offset = 0) {
  c.make_room();
  const Tensor x(c.x, offset), dy(c.dy, offset), y(c.y, offset), dx(c.dx, offset),
      inference(c.y_inference, offset);
  const Tensor gamma(c.gamma, 1), beta(c.beta, 0), running_mean(c.running_mean, 1),
      running_variance(c.running_variance, 0), mean(c.mean, 1), invstd(c.invstd, 0),
      dgamma(c.dgamma, 0), dbeta(c.dbeta, 1), scale(c.scale, 1), shift(c.shift, 0);
  const DeviceArray<float> workspace(c.workspace());
  kernels::batch_norm_forward(test_stream(), c.params, x.data(), gamma.data(), beta.data(),
                              running_mean.data(), running_variance.data(), mean.data(),
                              invstd.data(), y.data(), workspace.data());
  kernels::batch_norm_backward(test_stream(), c.params, x.data(), mean.data(), invstd.data(),
                               gamma.data(), beta.data(), dy.data(), dx.data(), dgamma.data(),
                               dbeta.data(), workspace.data());
  const Tensor y_of_both(c.y_of_both, offset);
  const Rounded y_rounded(c.y_rounded, offset), dx_rounded(c.dx_rounded, offset),
      rounded_of_both(c.rounded_of_both, offset);
  kernels::batch_norm_normalise(test_stream(), c.params, x.data(), mean.data(), invstd.data(),
                                gamma.data(), beta.data(), y_of_both.data(),
                                rounded_of_both.data());
  kernels::batch_norm_normalise(test_stream(), c.params, x.data(), mean.data(), invstd.data(),
                                gamma.data(), beta.data(), nullptr, y_rounded.data());
  kernels::batch_norm_input_gradient(test_stream(), c.params, x.data(), mean.data(), invstd.data(),
                                     gamma.data(), beta.data(), workspace.data(), dy.data(),
                                     nullptr, dx_rounded.data());
  const bool running = !c.running_mean.empty();
  kernels::fold_batch_norm(test_stream(), c.params, gamma.data(), beta.data(),
                           running ? running_mean.data() : mean.data(),
                           running ? running_variance.data() : invstd.data(), scale.data(),
                           shift.data());
  kernels::batch_norm_inference(test_stream(), c.params, x.data(), scale.data(), shift.data(),
                                inference.data());
  c.y = y.values(), c.mean = mean.values(), c.invstd = invstd.values(), c.dx = dx.values();
  c.dgamma = dgamma.values(), c.dbeta = dbeta.values(), c.scale = scale.values();
  c.shift = shift.values(), c.y_inference = inference.values();
  c.y_rounded = y_rounded.values(), c.dx_rounded = dx_rounded.values();
  c.y_of_both = y_of_both.values(), c.rounded_of_both = rounded_of_both.values();
  if (running)
    c.running_mean = running_mean.values(), c.running_variance = running_variance.values();
}

inline void run(GlobalPoolCase& c, std::size_t offset = 0) {
  const std::vector<float> y_room(c.dy.size(), -77.0f), dx_room(c.x.size(), -77.0f);
  const Tensor x(c.x, offset), dy(c.dy, offset), y(y_room, offset), dx(dx_room, offset);
  kernels::global_average_pool(test_stream(), c.shape, x.data(), y.data());
  kernels::global_average_pool_backward(test_stream(), c.shape, dy.data(), dx.data());
  c.y = y.values(), c.dx = dx.values();
}

inline void run(ShortcutCase& c, std::size_t offset = 0) {
  const std::vector<float> y_room(c.dy.size(), -77.0f), dx_room(c.x.size(), -77.0f);
  const Tensor x(c.x, offset), dy(c.dy, offset), y(y_room, offset), dx(dx_room, offset);
  kernels::shortcut_forward(test_stream(), c.shape, x.data(), y.data());
  kernels::shortcut_backward(test_stream(), c.shape, dy.data(), dx.data());
  c.y = y.values(), c.dx = dx.values();
}

inline void run(AddCase& c, std::size_t offset = 0) {
  const std::vector<float> room(c.a.size(), -77.0f);
  const Tensor a(c.a, offset), b(c.b, offset), y(room, offset);
  kernels::add(test_stream(), c.activation, static_cast<std::int64_t>(c.a.size()), a.data(),
               b.data(), y.data());
  c.y = y.values();
}

inline void run(StandardiseCase& c, std::size_t offset = 0) {
  const std::vector<float> room(c.x.size(), -77.0f);
  const Tensor x(c.x, offset), dy(c.dy, offset), y(room, offset), dx(room, offset);
  kernels::standardise(test_stream(), c.images, c.values, x.data(), y.data());
  kernels::standardise_backward(test_stream(), c.images, c.values, x.data(), dy.data(), dx.data());
  c.y = y.values(), c.dx = dx.values();
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
