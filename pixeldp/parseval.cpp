#include "pixeldp/parseval.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.hpp"

namespace pixeldp {

namespace {

constexpr double least_norm = 1e-12;

// out = a b for symmetric matrices [n][n] that commute, so that the product is symmetric too and
// its upper triangle is enough.
void multiply(std::size_t n, const std::vector<double>& a, const std::vector<double>& b,
              std::vector<double>& out) {
  for (std::size_t i = 0; i < n; ++i) {
    double* row = out.data() + i * n;
    std::fill(row + i, row + n, 0.0);
    const double* weights = a.data() + i * n;
    std::size_t k = 0;
    for (; k + 4 <= n; k += 4) {
      const double w0 = weights[k], w1 = weights[k + 1], w2 = weights[k + 2], w3 = weights[k + 3];
      const double *b0 = b.data() + k * n, *b1 = b0 + n, *b2 = b1 + n, *b3 = b2 + n;
#pragma omp simd
      for (std::size_t j = i; j < n; ++j)
        row[j] += (w0 * b0[j] + w1 * b1[j]) + (w2 * b2[j] + w3 * b3[j]);
    }
    for (; k < n; ++k) {
      const double* bk = b.data() + k * n;
#pragma omp simd
      for (std::size_t j = i; j < n; ++j) row[j] += weights[k] * bk[j];
    }
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) out[j * n + i] = out[i * n + j];
}

}  // namespace

void parseval_project(std::span<float> weight, std::int64_t rows, std::int64_t cols, double scale,
                      double step, int loops) {
  if (std::ssize(weight) != rows * cols)
    fail("Parseval projection: the weight holds {} values, not {} x {}", weight.size(), rows, cols);
  if (!(std::isfinite(scale) && scale > 0.0 && std::isfinite(step) && step > 0.0 && loops >= 0))
    fail_usage("Parseval projection: scale {}, step {} and loops {} must be positive", scale, step,
               loops);
  if (loops == 0 || weight.empty()) return;
  const auto r = static_cast<std::size_t>(rows), c = static_cast<std::size_t>(cols);
  const bool wide = r <= c;
  const std::size_t n = std::min(r, c);

  // One loop is W <- P W (or W P) with P = (1 + step) I - step G for the Gram matrix G of the
  // smaller side. All these matrices are polynomials in the first G and commute: G <- P G P = G
  // P^2, and the product of the P is applied to W once.
  std::vector<double> gram(n * n, 0.0), p(n * n), product(n * n, 0.0), scratch(n * n);
  {
    const std::vector<double> w(weight.begin(), weight.end());
    if (wide) {
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = i; j < n; ++j) {
          double sum = 0.0;
          const double *x = w.data() + i * c, *y = w.data() + j * c;
#pragma omp simd reduction(+ : sum)
          for (std::size_t k = 0; k < c; ++k) sum += x[k] * y[k];
          gram[i * n + j] = sum;
        }
    } else {
      for (std::size_t k = 0; k < r; ++k)
        for (std::size_t i = 0; i < n; ++i) {
          const double x = w[k * c + i];
#pragma omp simd
          for (std::size_t j = i; j < n; ++j) gram[i * n + j] += x * w[k * c + j];
        }
    }
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i; j < n; ++j)
        gram[i * n + j] = gram[j * n + i] = gram[i * n + j] * scale * scale;
  }

  // A squared singular value above 1 + 2 / step grows without end. Each entry of the diagonal is at
  // most the largest of them, and after some loops it shows.
  const double limit = 1.0 + 2.0 / step;
  for (int loop = 0; loop < loops; ++loop) {
    for (std::size_t i = 0; i < n; ++i)
      if (!(gram[i * n + i] <= limit))
        fail(
            "Parseval projection: a squared singular value of at least {:.4g} is beyond {:.4g}, "
            "and "
            "a step of {} diverges; take a smaller step or learning rate",
            gram[i * n + i], limit, step);
    for (std::size_t i = 0; i < n * n; ++i) p[i] = -step * gram[i];
    for (std::size_t i = 0; i < n; ++i) p[i * n + i] += 1.0 + step;
    if (loop == 0) {
      product = p;
    } else {
      multiply(n, product, p, scratch);
      std::swap(product, scratch);
    }
    if (loop + 1 < loops) {
      multiply(n, gram, p, scratch);
      multiply(n, scratch, p, gram);
    }
  }

  if (wide) {  // product W, one block of columns at a time
    constexpr std::size_t block = 64;
    std::vector<double> out(n * block), in(n * block);
    for (std::size_t first = 0; first < c; first += block) {
      const std::size_t width = std::min(block, c - first);
      for (std::size_t i = 0; i < n; ++i)
        std::copy_n(weight.begin() + static_cast<std::ptrdiff_t>(i * c + first), width,
                    in.begin() + static_cast<std::ptrdiff_t>(i * block));
      std::fill(out.begin(), out.end(), 0.0);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < n; ++k) {
          const double f = product[i * n + k];
#pragma omp simd
          for (std::size_t j = 0; j < block; ++j) out[i * block + j] += f * in[k * block + j];
        }
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < width; ++j)
          weight[i * c + first + j] = static_cast<float>(out[i * block + j]);
    }
  } else {  // W product, row by row
    std::vector<double> row(n);
    for (std::size_t i = 0; i < r; ++i) {
      std::fill(row.begin(), row.end(), 0.0);
      for (std::size_t k = 0; k < n; ++k) {
        const double f = weight[i * c + k];
#pragma omp simd
        for (std::size_t j = 0; j < n; ++j) row[j] += f * product[k * n + j];
      }
      for (std::size_t j = 0; j < n; ++j) weight[i * c + j] = static_cast<float>(row[j]);
    }
  }
}

namespace {

// Divides each of the slices that `slice_of(out channel, in channel)` tells apart by its norm.
template <typename SliceOf>
void normalise(std::span<float> weight, const ConvGeometry& g, std::int64_t slices, bool two_norm,
               SliceOf slice_of) {
  if (std::ssize(weight) != g.weight_size())
    fail("normalisation: the weight holds {} values, but its shape needs {}", weight.size(),
         g.weight_size());
  const auto taps = static_cast<std::size_t>(g.kernel_h * g.kernel_w);
  std::vector<double> norms(static_cast<std::size_t>(slices), 0.0);
  const auto for_each_slice = [&](auto visit) {
    std::size_t at = 0;
    for (std::int64_t o = 0; o < g.out_c; ++o)
      for (std::int64_t i = 0; i < g.in_c; ++i, at += taps)
        visit(norms[static_cast<std::size_t>(slice_of(o, i))], weight.subspan(at, taps));
  };
  for_each_slice([&](double& norm, std::span<const float> values) {
    for (const double value : values) norm += two_norm ? value * value : std::abs(value);
  });
  for (double& norm : norms) norm = std::max(two_norm ? std::sqrt(norm) : norm, least_norm);
  for_each_slice([&](double norm, std::span<float> values) {
    for (float& value : values) value = static_cast<float>(value / norm);
  });
}

}  // namespace

void normalise_columns(std::span<float> weight, const ConvGeometry& geometry, Mechanism mechanism) {
  if (mechanism == Mechanism::none) fail("normalisation: a layer without noise needs none");
  normalise(weight, geometry, geometry.in_c, mechanism == Mechanism::gaussian,
            [](std::int64_t, std::int64_t i) { return i; });
}

void normalise_rows(std::span<float> weight, const ConvGeometry& geometry) {
  normalise(weight, geometry, geometry.out_c, false,
            [](std::int64_t o, std::int64_t) { return o; });
}

}  // namespace pixeldp
