#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/batch_norm.hpp"

/// The definitions of kernels/batch_norm.hpp in double precision.
namespace pixeldp::reference {

using Doubles = std::vector<double>;

struct BatchNorm {
  kernels::BatchNormParams params;
  Doubles gamma, beta;  ///< one value per channel

  double activation(double z) const { return z > 0.0 ? z : slope() * z; }
  double slope() const { return static_cast<double>(params.activation.slope); }
  std::size_t channels() const { return static_cast<std::size_t>(params.channels); }
  double rows() const { return static_cast<double>(params.rows); }

  Doubles mean(const Doubles& x) const {
    Doubles result(channels());
    for (std::size_t i = 0; i < x.size(); ++i) result[i % channels()] += x[i] / rows();
    return result;
  }
  Doubles variance(const Doubles& x) const {
    const Doubles m = mean(x);
    Doubles result(channels());
    for (std::size_t i = 0; i < x.size(); ++i)
      result[i % channels()] += std::pow(x[i] - m[i % channels()], 2) / rows();
    return result;
  }
  Doubles invstd(const Doubles& x) const {
    Doubles result = variance(x);
    for (double& v : result) v = 1.0 / std::sqrt(v + static_cast<double>(params.epsilon));
    return result;
  }
  Doubles xhat(const Doubles& x) const {
    const Doubles m = mean(x), d = invstd(x);
    Doubles result = x;
    for (std::size_t i = 0; i < x.size(); ++i)
      result[i] = (x[i] - m[i % channels()]) * d[i % channels()];
    return result;
  }
  Doubles forward(const Doubles& x) const {
    Doubles result = xhat(x);
    for (std::size_t i = 0; i < x.size(); ++i)
      result[i] = activation(result[i] * gamma[i % channels()] + beta[i % channels()]);
    return result;
  }

  struct Gradients {
    Doubles dx, dgamma, dbeta;
  };
  Gradients backward(const Doubles& x, const Doubles& dy) const {
    const Doubles normal = xhat(x), d = invstd(x);
    Gradients result = {dy, Doubles(channels()), Doubles(channels())};
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t c = i % channels();
      if (normal[i] * gamma[c] + beta[c] <= 0.0) result.dx[i] *= slope();
      result.dbeta[c] += result.dx[i];
      result.dgamma[c] += result.dx[i] * normal[i];
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t c = i % channels();
      result.dx[i] =
          gamma[c] * d[c] *
          (result.dx[i] - result.dbeta[c] / rows() - normal[i] * result.dgamma[c] / rows());
    }
    return result;
  }
};

}  // namespace pixeldp::reference
