#include "kernels/parseval.hpp"

#include <algorithm>
#include <vector>

#include "kernels/cpu/lane_sums.hpp"
#include "kernels/cpu/operations.hpp"

// kernels/cuda/parseval.cu adds up in the same order.
namespace pixeldp::kernels::cpu {
namespace {

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

void parseval_project(const Stream&, const ParsevalParams& params, float* weight,
                      std::uint64_t* bad_loop) {
  const auto [rows, cols, scale, step, loops] = params;
  if (loops == 0 || rows == 0 || cols == 0 || *bad_loop != no_bad_loop) return;
  const auto r = static_cast<std::size_t>(rows), c = static_cast<std::size_t>(cols);
  const bool wide = r <= c;
  const std::size_t n = std::min(r, c);

  std::vector<double> gram(n * n, 0.0), p(n * n), product(n * n, 0.0), scratch(n * n);
  {
    const std::vector<double> w(weight, weight + r * c);
    if (wide) {
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = i; j < n; ++j) {
          double sums[warp_lanes] = {};
          const double *x = w.data() + i * c, *y = w.data() + j * c;
          std::size_t k = 0;
          for (; k + warp_lanes <= c; k += warp_lanes) {
#pragma omp simd
            for (std::size_t l = 0; l < warp_lanes; ++l) sums[l] += x[k + l] * y[k + l];
          }
          for (std::size_t l = 0; k + l < c; ++l) sums[l] += x[k + l] * y[k + l];
          gram[i * n + j] = sum_of_lanes(sums);
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

  const double limit = 1.0 + 2.0 / step;
  for (int loop = 0; loop < loops; ++loop) {
    for (std::size_t i = 0; i < n; ++i) {
      if (gram[i * n + i] <= limit) continue;
      *bad_loop = static_cast<std::uint64_t>(loop);
      return;
    }
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
        std::copy_n(weight + i * c + first, width,
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

}  // namespace pixeldp::kernels::cpu
