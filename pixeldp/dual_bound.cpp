#include "pixeldp/dual_bound.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"
#include "kernels/dense.hpp"
#include "layers/conv2d.hpp"
#include "layers/dense.hpp"

namespace pixeldp {
namespace {

constexpr auto fp32 = kernels::Precision::fp32;

kernels::Conv2dShape of_rows(kernels::Conv2dShape shape, std::int64_t rows) {
  shape.batch = rows;
  return shape;
}

/// The slope between 0 and high of a ReLU whose input lies between low and high.
struct Slope {
  float s = 0.0f;
  bool either = false;  ///< on or off

  Slope(float low, float high) {
    if (low >= 0.0f) {
      s = 1.0f;
    } else if (high > 0.0f) {
      s = high / (high - low);
      either = true;
    }
  }
};

void zero(Tensor& tensor, const Shape& shape) {
  tensor.resize(shape);
  tensor.fill(0.0f);
}

bool is_dense(const kernels::Conv2dShape& shape) { return shape.in_h * shape.in_w == 1; }

kernels::DenseShape dense_shape(const kernels::Conv2dShape& shape, std::int64_t rows) {
  return {.rows = rows, .in = shape.in_c, .out = shape.out_c};
}

/// y = W x of so many rows, for any W of that shape.
void multiply(const kernels::Conv2dShape& shape, const Tensor& x, const float* weight, Tensor& y) {
  if (is_dense(shape)) {
    const std::vector<float> no_bias(static_cast<std::size_t>(shape.out_c), 0.0f);
    dense_forward(Stream(), dense_shape(shape, x.rows()), fp32, x.data(), weight, no_bias.data(),
                  y.data());
  } else {
    conv2d_forward(Stream(), of_rows(shape, x.rows()), fp32, x.data(), weight, y.data());
  }
}

/// x = W^T y likewise.
void multiply_transposed(const kernels::Conv2dShape& shape, const Tensor& y, const float* weight,
                         Tensor& x) {
  if (is_dense(shape))
    dense_backward_data(Stream(), dense_shape(shape, y.rows()), fp32, y.data(), weight, x.data());
  else
    conv2d_backward_data(Stream(), of_rows(shape, y.rows()), fp32, y.data(), weight, x.data());
}

/// gradient += what y = W x gives W, each value times the sign of that of `signs`, if there are.
void add_weight_gradient(const kernels::Conv2dShape& shape, const Tensor& x, const Tensor& dy,
                         Tensor& gradient, const Tensor* signs = nullptr) {
  Tensor own(gradient.shape());
  if (is_dense(shape)) {
    std::vector<float> bias(static_cast<std::size_t>(shape.out_c));
    dense_backward_weight(Stream(), dense_shape(shape, x.rows()), fp32, x.data(), dy.data(),
                          own.data(), bias.data());
  } else {
    conv2d_backward_weight(Stream(), of_rows(shape, x.rows()), fp32, x.data(), dy.data(),
                           own.data());
  }
  for (std::int64_t i = 0; i < gradient.size(); ++i) {
    const float sign = !signs                    ? 1.0f
                       : signs->data()[i] > 0.0f ? 1.0f
                       : signs->data()[i] < 0.0f ? -1.0f
                                                 : 0.0f;
    gradient.data()[i] += sign * own.data()[i];
  }
}

}  // namespace

DualBound::DualBound(layers::Network& network) {
  if (network.noise->distribution != kernels::NoiseDistribution::none)
    fail_usage("the dual bound is of networks without noise; certify those with noise");
  layers::Graph& graph = network.graph;
  bool ends_in_map = false;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    layers::Layer& layer = graph.layer(i);
    const Shape& input = graph.shape(static_cast<layers::Value>(i));
    kernels::Activation activation;
    const auto refuse = [&](std::string_view why) {
      fail_usage(
          "the dual bound does not cover layer {}: {}; it is of convolutions and dense layers with "
          "ReLUs, one after the other",
          layer.name(), why);
    };
    if (graph.nodes()[i].inputs != std::vector<layers::Value>{static_cast<layers::Value>(i)})
      refuse("it reads more than what the layer before it makes");
    if (auto* conv = dynamic_cast<layers::Conv2d*>(&layer)) {
      if (ends_in_map) refuse("no ReLU lies between it and the layer before it");
      maps_.push_back({.shape = conv->kernel_shape(input), .weight = &conv->weight()});
      activation = conv->options().activation;
      ends_in_map = true;
    } else if (auto* dense = dynamic_cast<layers::Dense*>(&layer)) {
      if (ends_in_map) refuse("no ReLU lies between it and the layer before it");
      const auto& o = dense->options();
      maps_.push_back({.shape = kernels::as_convolution({.rows = 1, .in = o.in, .out = o.out}),
                       .weight = &dense->weight(),
                       .bias = &dense->bias()});
      activation = o.activation;
      ends_in_map = true;
    } else if (&layer == network.noise) {
      activation = network.noise->activation();
    } else {
      refuse("it is neither");
    }
    if (activation.is_identity()) continue;
    if (activation.slope != 0.0f) refuse("its activation is no ReLU");
    if (!ends_in_map) refuse("its ReLU follows no map");
    ends_in_map = false;
  }
  if (maps_.empty() || !ends_in_map) fail_usage("the dual bound needs a last layer without ReLU");
  for (Map& map : maps_) {
    map.in = map.shape.in_h * map.shape.in_w * map.shape.in_c;
    map.out = map.shape.out_h() * map.shape.out_w() * map.shape.out_c;
  }
  values_.resize(maps_.size());
}

void DualBound::bound_values(const Tensor& images, double size, PixelRange pixels) {
  const std::int64_t rows = images.rows();
  Tensor spread;
  magnitudes_.resize(maps_.size());
  for (std::size_t i = 0; i < maps_.size(); ++i) {
    const Map& map = maps_[i];
    Values& own = values_[i];
    own.centre.resize({rows, map.in});
    own.radius.resize({rows, map.in});
    for (std::int64_t j = 0; j < own.centre.size(); ++j) {
      float low, high;
      if (i == 0) {
        const double x = images.data()[j];
        low = static_cast<float>(std::max<double>(x - size, pixels.lowest));
        high = static_cast<float>(std::min<double>(x + size, pixels.highest()));
      } else {
        low = std::max(values_[i - 1].low.data()[j], 0.0f);
        high = std::max(values_[i - 1].high.data()[j], 0.0f);
      }
      own.centre.data()[j] = 0.5f * (low + high);
      own.radius.data()[j] = 0.5f * (high - low);
    }
    const auto weights = std::as_const(map.weight->value).values();
    magnitudes_[i].resize(weights.size());
    std::ranges::transform(weights, magnitudes_[i].begin(), [](float w) { return std::abs(w); });
    if (i + 1 == maps_.size()) break;  // the dual begins there
    own.low.resize({rows, map.out});
    own.high.resize({rows, map.out});
    spread.resize({rows, map.out});
    multiply(map.shape, own.centre, weights.data(), own.low);
    multiply(map.shape, own.radius, magnitudes_[i].data(), spread);
    for (std::int64_t j = 0; j < spread.size(); ++j) {
      const float bias = map.bias ? map.bias->value.data()[j % map.out] : 0.0f;
      const float middle = own.low.data()[j] + bias;
      own.low.data()[j] = middle - spread.data()[j];
      own.high.data()[j] = middle + spread.data()[j];
    }
  }
}

void DualBound::bound_margins(std::span<const std::int32_t> labels) {
  const std::int64_t rows = std::ssize(labels), classes = maps_.back().out, duals = rows * classes;
  zero(margins_, {rows, classes});
  Tensor& last = values_.back().v;
  zero(last, {duals, classes});
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int32_t label = labels[static_cast<std::size_t>(row)];
    if (label < 0 || label >= classes) fail("label {} is not below {} classes", label, classes);
    for (std::int64_t c = 0; c < classes; ++c) {
      if (c == label) continue;
      last.row(row * classes + c)[label] = 1.0f;
      last.row(row * classes + c)[c] = -1.0f;
    }
  }
  for (std::size_t i = maps_.size(); i-- > 0;) {
    const Map& map = maps_[i];
    Values& own = values_[i];
    own.w.resize({duals, map.in});
    multiply_transposed(map.shape, own.v, map.weight->value.data(), own.w);
    if (i > 0) values_[i - 1].v.resize({duals, map.in});
#pragma omp parallel for
    for (std::int64_t dual = 0; dual < duals; ++dual) {
      const std::int64_t row = dual / classes;
      const float* const w = own.w.row(dual);
      double sum = 0.0;
      if (map.bias)
        for (std::int64_t j = 0; j < map.out; ++j)
          sum += double{own.v.row(dual)[j]} * map.bias->value.data()[j];
      if (i == 0) {
        const float* const centre = own.centre.row(row);
        const float* const radius = own.radius.row(row);
        for (std::int64_t j = 0; j < map.in; ++j)
          sum += double{w[j]} * centre[j] - std::abs(double{w[j]}) * radius[j];
      } else {
        Values& below = values_[i - 1];
        float* const v = below.v.row(dual);
        for (std::int64_t j = 0; j < map.in; ++j) {
          const float low = below.low.row(row)[j];
          const Slope slope(low, below.high.row(row)[j]);
          v[j] = slope.s * w[j];
          if (slope.either) sum -= double{slope.s} * low * std::min(w[j], 0.0f);
        }
      }
      margins_.data()[dual] += static_cast<float>(sum);
    }
  }
}

const Tensor& DualBound::margins(const Tensor& images, std::span<const std::int32_t> labels,
                                 double size, PixelRange pixels) {
  if (images.rows() != std::ssize(labels) || images.shape().row_size() != maps_.front().in)
    fail("{} labels for images {}, of {} values each", labels.size(), images.shape().text(),
         maps_.front().in);
  bound_values(images, size, pixels);
  bound_margins(labels);
  return margins_;
}

void DualBound::backward(const Tensor& dmargins) {
  for (const Map& map : maps_) {
    zero(map.weight->gradient, map.weight->value.shape());
    if (map.bias) zero(map.bias->gradient, map.bias->value.shape());
  }
  backward_margins(dmargins);
  backward_values();
}

void DualBound::backward_margins(const Tensor& dmargins) {
  const std::int64_t classes = maps_.back().out, rows = margins_.rows(), duals = rows * classes;
  Tensor dw, dv;  // of the map at hand
  for (std::size_t i = 0; i < maps_.size(); ++i) {
    const Map& map = maps_[i];
    Values& own = values_[i];
    if (i > 0) {
      zero(values_[i - 1].dlow, {rows, map.in});
      zero(values_[i - 1].dhigh, {rows, map.in});
    }
    dw.resize({duals, map.in});
#pragma omp parallel for
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t c = 0; c < classes; ++c) {
        const std::int64_t dual = row * classes + c;
        const float g = dmargins.data()[dual];
        const float* const w = own.w.row(dual);
        for (std::int64_t j = 0; j < map.in; ++j) {
          if (i == 0) {
            const float r = own.radius.row(row)[j];
            dw.row(dual)[j] = g * (own.centre.row(row)[j] - (w[j] > 0.0f   ? r
                                                             : w[j] < 0.0f ? -r
                                                                           : 0.0f));
            continue;
          }
          Values& below = values_[i - 1];
          const float low = below.low.row(row)[j], high = below.high.row(row)[j];
          const Slope slope(low, high);
          const float upstream = dv.row(dual)[j];
          dw.row(dual)[j] = slope.s * upstream;
          if (!slope.either) continue;
          const float negative = std::min(w[j], 0.0f);
          if (w[j] < 0.0f) dw.row(dual)[j] -= g * slope.s * low;
          const float ds = upstream * w[j] - g * low * negative;
          const float per_square = ds / ((high - low) * (high - low));
          below.dlow.row(row)[j] += high * per_square - g * slope.s * negative;
          below.dhigh.row(row)[j] -= low * per_square;
        }
      }
    }
    add_weight_gradient(map.shape, dw, own.v, map.weight->gradient);
    if (map.bias)
      for (std::int64_t dual = 0; dual < duals; ++dual)
        for (std::int64_t j = 0; j < map.out; ++j)
          map.bias->gradient.data()[j] += dmargins.data()[dual] * own.v.row(dual)[j];
    if (i + 1 == maps_.size()) break;  // there v is given
    dv.resize({duals, map.out});
    multiply(map.shape, dw, map.weight->value.data(), dv);
    if (map.bias)
      for (std::int64_t dual = 0; dual < duals; ++dual)
        for (std::int64_t j = 0; j < map.out; ++j)
          dv.row(dual)[j] += dmargins.data()[dual] * map.bias->value.data()[j];
  }
}

void DualBound::backward_values() {
  if (maps_.size() < 2) return;
  for (std::size_t i = maps_.size() - 1; i-- > 0;) {
    const Map& map = maps_[i];
    Values& own = values_[i];
    const std::int64_t rows = own.low.rows();
    Tensor dmiddle({rows, map.out}), dspread({rows, map.out});
    for (std::int64_t j = 0; j < dmiddle.size(); ++j) {
      dmiddle.data()[j] = own.dlow.data()[j] + own.dhigh.data()[j];
      dspread.data()[j] = own.dhigh.data()[j] - own.dlow.data()[j];
    }
    add_weight_gradient(map.shape, own.centre, dmiddle, map.weight->gradient);
    add_weight_gradient(map.shape, own.radius, dspread, map.weight->gradient, &map.weight->value);
    if (map.bias)
      for (std::int64_t j = 0; j < dmiddle.size(); ++j)
        map.bias->gradient.data()[j % map.out] += dmiddle.data()[j];
    if (i == 0) break;
    Tensor dcentre({rows, map.in}), dradius({rows, map.in});
    multiply_transposed(map.shape, dmiddle, map.weight->value.data(), dcentre);
    multiply_transposed(map.shape, dspread, magnitudes_[i].data(), dradius);
    Values& below = values_[i - 1];
    for (std::int64_t j = 0; j < dcentre.size(); ++j) {
      const float a = 0.5f * dcentre.data()[j], b = 0.5f * dradius.data()[j];
      if (below.low.data()[j] > 0.0f) below.dlow.data()[j] += a - b;
      if (below.high.data()[j] > 0.0f) below.dhigh.data()[j] += a + b;
    }
  }
}

}  // namespace pixeldp
