#include "kernels/batch_norm.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/cpu/operations.hpp"
#include "kernels/formulas/batch_norm.hpp"

// Loops over channels are left to the compiler's vectorisation: all passes are bound by memory.
namespace pixeldp::kernels::cpu {
namespace {

using Order = BatchNormOrder;
using Channel = BatchNormChannel;

/// Below this many elements, waking other threads costs more than it gains.
constexpr std::int64_t parallel_elements = 65536;

bool is_parallel(const BatchNormParams& p) { return p.rows * p.channels >= parallel_elements; }

float value_or(const float* values, std::int64_t i, float otherwise) {
  return values ? values[i] : otherwise;
}

/// What a pass over the elements needs of each channel, repeated for a few rows where rows are
/// short, so that the inner loop is long.
class Columns {
 public:
  explicit Columns(const BatchNormParams& params)
      : rows_(params.rows),
        channels_(params.channels),
        repeats_(params.channels < 256 ? 256 / params.channels : 1) {}

  std::vector<float> repeated(const float* values, float otherwise = 0.0f) const {
    std::vector<float> result;
    for (std::int64_t i = 0; i < repeats_ * channels_; ++i)
      result.push_back(value_or(values, i % channels_, otherwise));
    return result;
  }

  std::int64_t pieces() const { return (rows_ + repeats_ - 1) / repeats_; }
  std::int64_t first(std::int64_t piece) const { return piece * repeats_ * channels_; }
  std::int64_t size(std::int64_t piece) const {
    return std::min(repeats_, rows_ - piece * repeats_) * channels_;
  }

 private:
  std::int64_t rows_, channels_, repeats_;
};

/// Channels of a batch as arrays.
struct BatchColumns : Columns {
  std::vector<float> mean, invstd, scale, beta;

  BatchColumns(const BatchNormParams& params, const float* mean_, const float* invstd_,
               const float* gamma, const float* beta_)
      : Columns(params),
        mean(repeated(mean_)),
        invstd(repeated(invstd_)),
        scale(repeated(gamma, 1.0f)),
        beta(repeated(beta_)) {
    for (std::size_t i = 0; i < scale.size(); ++i)
      scale[i] = Channel::of(0.0f, invstd[i], scale[i], 0.0f).scale;
  }
};

/// Two sums of every channel.
struct Pair {
  float* first;
  float* second;
};

/// The moments of some rows of every channel, less `shift`, as they are summed.
class MomentSums {
 public:
  MomentSums(std::int64_t channels, const float* x, const float* shift)
      : channels_(channels), x_(x), shift_(shift) {}

  void add_rows(std::int64_t row, std::int64_t count, Pair to, std::int64_t rows_before) const {
    const MergeWeights weights = merge_weights(rows_before, count);
    const std::int64_t channels = channels_;
    const float* const x = x_ + row * channels;
    const float* const shift = shift_;
    const auto add = [&](std::int64_t c, Moments group) {
      const Moments m = merge({to.first[c], to.second[c]}, group, weights);
      to.first[c] = m.mean, to.second[c] = m.squares;
    };
    if (count < Order::group_rows) {
      for (std::int64_t c = 0; c < channels; ++c)
        add(c, moments(x + c, channels, shift[c], static_cast<int>(count)));
    } else {
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c)
        add(c, moments(x + c, channels, shift[c], std::make_index_sequence<Order::group_rows>()));
    }
  }

  void merge_into(Pair to, std::int64_t rows_to, Pair from, std::int64_t rows_from) const {
    const MergeWeights weights = merge_weights(rows_to, rows_from);
#pragma omp simd
    for (std::int64_t c = 0; c < channels_; ++c) {
      const Moments m =
          merge({to.first[c], to.second[c]}, {from.first[c], from.second[c]}, weights);
      to.first[c] = m.mean, to.second[c] = m.squares;
    }
  }

 private:
  static Moments moments(const float* x, std::int64_t stride, float shift, int count) {
    Moments group;
    for (int i = 0; i < count; ++i) group.mean += x[i * stride] - shift;
    group.mean /= static_cast<float>(count);
    for (int i = 0; i < count; ++i) {
      const float distance = x[i * stride] - shift - group.mean;
      group.squares += distance * distance;
    }
    return group;
  }
  /// The same without loops, which would keep the loop over channels from being vectorised.
  template <std::size_t... i>
  [[gnu::always_inline]] static Moments moments(const float* x, std::int64_t stride, float shift,
                                                std::index_sequence<i...>) {
    const float less_shift[] = {(x[static_cast<std::int64_t>(i) * stride] - shift)...};
    Moments group;
    ((group.mean += less_shift[i]), ...);
    group.mean /= static_cast<float>(sizeof...(i));
    const float distance[] = {(less_shift[i] - group.mean)...};
    ((group.squares += distance[i] * distance[i]), ...);
    return group;
  }

  std::int64_t channels_;
  const float* x_;
  const float* shift_;
};

/// The sums of g and g * xhat, as they are summed.
class GradientSums {
 public:
  GradientSums(const BatchNormParams& params, const BatchColumns& columns, const float* x,
               const float* dy)
      : channels_(params.channels),
        slope_(params.activation.slope),
        columns_(columns),
        x_(x),
        dy_(dy) {}

  void add_rows(std::int64_t row, std::int64_t count, Pair to, std::int64_t) const {
    if (count == Order::group_rows)
      return add(row, to, std::make_index_sequence<Order::group_rows>());
    for (std::int64_t r = row; r < row + count; ++r) add(r, to, std::index_sequence<0>());
  }

  void merge_into(Pair to, std::int64_t, Pair from, std::int64_t) const {
#pragma omp simd
    for (std::int64_t c = 0; c < channels_; ++c) {
      to.first[c] += from.first[c];
      to.second[c] += from.second[c];
    }
  }

 private:
  /// Adds rows row + i.
  template <std::size_t... i>
  void add(std::int64_t row, Pair to, std::index_sequence<i...>) const {
    const std::int64_t channels = channels_;
    const float slope = slope_;
    const float *x = x_ + row * channels, *dy = dy_ + row * channels;
    const float *mean = columns_.mean.data(), *invstd = columns_.invstd.data(),
                *scale = columns_.scale.data(), *beta = columns_.beta.data();
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) {
      const Channel channel = {mean[c], invstd[c], scale[c], beta[c]};
      const float input[] = {x[static_cast<std::int64_t>(i) * channels + c]...};
      const float gradient[] = {masked_gradient(
          channel, input[i], dy[static_cast<std::int64_t>(i) * channels + c], slope)...};
      float sum = to.first[c], product = to.second[c];
      ((sum += gradient[i]), ...);
      ((product += gradient[i] * ((input[i] - channel.mean) * channel.invstd)), ...);
      to.first[c] = sum, to.second[c] = product;
    }
  }

  std::int64_t channels_;
  float slope_;
  const BatchColumns& columns_;
  const float* x_;
  const float* dy_;
};

/// Lanes of sums, and how many rows each holds.
class Lanes {
 public:
  Lanes(std::int64_t lanes, std::int64_t channels)
      : channels_(channels),
        sums_(static_cast<std::size_t>(2 * lanes * channels)),
        rows_(static_cast<std::size_t>(lanes)) {}

  void clear() {
    std::fill(sums_.begin(), sums_.end(), 0.0f);
    std::fill(rows_.begin(), rows_.end(), 0);
  }
  Pair sums(std::size_t lane) {
    float* const first = sums_.data() + static_cast<std::int64_t>(2 * lane) * channels_;
    return {first, first + channels_};
  }
  std::int64_t& rows(std::size_t lane) { return rows_[lane]; }

  /// Sums all lanes into lane 0.
  template <class Sums>
  void merge_all(const Sums& how) {
    for (std::size_t step = rows_.size() / 2; step > 0; step /= 2) {
      for (std::size_t l = 0; l < step; ++l) {
        how.merge_into(sums(l), rows_[l], sums(l + step), rows_[l + step]);
        rows_[l] += rows_[l + step];
      }
    }
  }

 private:
  std::int64_t channels_;
  std::vector<float> sums_;
  std::vector<std::int64_t> rows_;
};

/// Sums over all rows in the order of BatchNormOrder, left in the first 2 * channels floats of the
/// workspace.
template <class Sums>
Pair sum_rows(const BatchNormParams& params, const Sums& how, float* workspace) {
  const Order order = Order::make(params);
  const std::int64_t rows = params.rows, channels = params.channels;
  const auto sums_of = [&](std::int64_t split) {
    float* const first = workspace + 2 * channels * (split + 1);
    return Pair{first, first + channels};
  };
#pragma omp parallel if (is_parallel(params))
  {
    Lanes lanes(order.row_lanes, channels);
#pragma omp for schedule(static)
    for (int split = 0; split < order.splits; ++split) {
      lanes.clear();
      const std::int64_t first = split * order.split_rows;
      const std::int64_t end = std::min(first + order.split_rows, rows);
      std::size_t lane = 0;
      for (std::int64_t row = first; row < end; row += Order::group_rows) {
        const std::int64_t count = std::min<std::int64_t>(Order::group_rows, end - row);
        how.add_rows(row, count, lanes.sums(lane), lanes.rows(lane));
        lanes.rows(lane) += count;
        if (++lane == static_cast<std::size_t>(order.row_lanes)) lane = 0;
      }
      lanes.merge_all(how);
      std::copy_n(lanes.sums(0).first, 2 * channels, sums_of(split).first);
    }
  }
  Lanes lanes(Order::merge_lanes, channels);
  for (int split = 0; split < order.splits; ++split) {
    const std::int64_t count = std::min(order.split_rows, rows - split * order.split_rows);
    const auto lane = static_cast<std::size_t>(split % Order::merge_lanes);
    how.merge_into(lanes.sums(lane), lanes.rows(lane), sums_of(split), count);
    lanes.rows(lane) += count;
  }
  lanes.merge_all(how);
  std::copy_n(lanes.sums(0).first, 2 * channels, workspace);
  return {workspace, workspace + channels};
}

}  // namespace

void batch_norm_statistics(const Stream&, const BatchNormParams& params, const float* x,
                           float* running_mean, float* running_variance, float* mean, float* invstd,
                           float* workspace) {
  const Pair moments = sum_rows(params, MomentSums(params.channels, x, x), workspace);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    const float variance = moments.second[c] / static_cast<float>(params.rows);
    mean[c] = x[c] + moments.first[c];
    invstd[c] = inverse_deviation(variance, params.epsilon);
    if (running_mean) running_mean[c] = update_running(params.momentum, running_mean[c], mean[c]);
    if (running_variance)
      running_variance[c] = update_running(params.momentum, running_variance[c], variance);
  }
}

void batch_norm_normalise(const Stream&, const BatchNormParams& params, const float* x,
                          const float* mean, const float* invstd, const float* gamma,
                          const float* beta, float* y, std::uint16_t*) {
  const BatchColumns columns(params, mean, invstd, gamma, beta);
  const float slope = params.activation.slope;
#pragma omp parallel for schedule(static) if (is_parallel(params))
  for (std::int64_t piece = 0; piece < columns.pieces(); ++piece) {
    const std::int64_t first = columns.first(piece), size = columns.size(piece);
    const float *m = columns.mean.data(), *s = columns.scale.data(), *b = columns.beta.data();
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i)
      y[first + i] = normalised({m[i], 0.0f, s[i], b[i]}, x[first + i], slope);
  }
}

void batch_norm_gradient_sums(const Stream&, const BatchNormParams& params, const float* x,
                              const float* mean, const float* invstd, const float* gamma,
                              const float* beta, const float* dy, float* dgamma, float* dbeta,
                              float* workspace) {
  const BatchColumns columns(params, mean, invstd, gamma, beta);
  const Pair sums = sum_rows(params, GradientSums(params, columns, x, dy), workspace);
  for (std::int64_t c = 0; c < params.channels; ++c) {
    if (dbeta) dbeta[c] = sums.first[c];
    if (dgamma) dgamma[c] = sums.second[c];
    sums.first[c] /= static_cast<float>(params.rows);
    sums.second[c] /= static_cast<float>(params.rows);
  }
}

void batch_norm_input_gradient(const Stream&, const BatchNormParams& params, const float* x,
                               const float* mean, const float* invstd, const float* gamma,
                               const float* beta, const float* workspace, const float* dy,
                               float* dx, std::uint16_t*) {
  const BatchColumns columns(params, mean, invstd, gamma, beta);
  const std::vector<float> gradient = columns.repeated(workspace),
                           product = columns.repeated(workspace + params.channels);
  const float slope = params.activation.slope;
#pragma omp parallel for schedule(static) if (is_parallel(params))
  for (std::int64_t piece = 0; piece < columns.pieces(); ++piece) {
    const std::int64_t first = columns.first(piece), size = columns.size(piece);
    const float *m = columns.mean.data(), *d = columns.invstd.data(), *s = columns.scale.data(),
                *b = columns.beta.data(), *g = gradient.data(), *p = product.data();
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) {
      dx[first + i] =
          input_gradient({m[i], d[i], s[i], b[i]}, g[i], p[i], x[first + i], dy[first + i], slope);
    }
  }
}

void fold_batch_norm(const Stream&, const BatchNormParams& params, const float* gamma,
                     const float* beta, const float* running_mean, const float* running_variance,
                     float* scale, float* shift) {
  for (std::int64_t c = 0; c < params.channels; ++c) {
    const ScaleShift folded = ScaleShift::of(value_or(gamma, c, 1.0f), value_or(beta, c, 0.0f),
                                             running_mean[c], running_variance[c], params.epsilon);
    scale[c] = folded.scale, shift[c] = folded.shift;
  }
}

void batch_norm_inference(const Stream&, const BatchNormParams& params, const float* x,
                          const float* scale, const float* shift, float* y) {
  const Columns columns(params);
  const std::vector<float> scales = columns.repeated(scale), shifts = columns.repeated(shift);
  const float slope = params.activation.slope;
#pragma omp parallel for schedule(static) if (is_parallel(params))
  for (std::int64_t piece = 0; piece < columns.pieces(); ++piece) {
    const std::int64_t first = columns.first(piece), size = columns.size(piece);
    const float *a = scales.data(), *b = shifts.data();
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i)
      y[first + i] = normalised(ScaleShift{a[i], b[i]}, x[first + i], slope);
  }
}

}  // namespace pixeldp::kernels::cpu
