#include "layers/standardise.hpp"

#include "kernels/standardise.hpp"

namespace pixeldp::layers {
namespace {

class PreparedStandardise : public kernels::Prepared {
 public:
  PreparedStandardise(const Stream& stream, const Shape& input)
      : stream_(stream), images_(input[0]), values_(input.row_size()) {}

  void run(const float* x, float* y, const float*) const override {
    kernels::standardise(stream_, images_, values_, x, y);
  }

 private:
  Stream stream_;
  std::int64_t images_, values_;
};

}  // namespace

void Standardise::forward(const Stream& stream, const Tensor& x, Tensor& y, Saved&) {
  y.resize(x.shape(), stream.device());
  kernels::standardise(stream, x.rows(), x.shape().row_size(), x.data(), y.data());
}

void Standardise::backward(const Stream& stream, const Tensor& x, const Tensor&, Saved&, Tensor& dy,
                           Tensor* dx) {
  if (!dx) return;
  dx->resize(x.shape(), stream.device());
  kernels::standardise_backward(stream, x.rows(), x.shape().row_size(), x.data(), dy.data(),
                                dx->data());
}

std::unique_ptr<kernels::Prepared> Standardise::prepare(const Stream& stream, const Shape& input,
                                                        kernels::Precision) const {
  return std::make_unique<PreparedStandardise>(stream, input);
}

}  // namespace pixeldp::layers
