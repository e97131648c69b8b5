#include "pixeldp/singular_value.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

namespace pixeldp {

namespace {

// Rounding: the entries of the matrix are trigonometric sums of a few hundred terms, the Gram
// matrix and each square sums of at most some thousands, all with errors below 1e-11 of their
// Frobenius norm; a square's error counts 2^-t in the exponent. Relative to the largest eigenvalue,
// at least 1/n of the trace, everything together stays below 1e-8. The margin is ten times that.
constexpr double margin = 1e-7;

// A Hermitian matrix [n][n] in two planes; the imaginary one is empty for real matrices.
struct Hermitian {
  Hermitian(std::size_t extent, bool complex)
      : n(extent), re(n * n), im(complex ? n * n : 0), square_re(re.size()), square_im(im.size()) {}

  std::size_t n;
  std::vector<double> re, im;
  std::vector<double> square_re, square_im;

  double frobenius_norm() const {
    double sum = 0.0;
    for (const double x : re) sum += x * x;
    for (const double x : im) sum += x * x;
    return std::sqrt(sum);
  }

  void scale(double factor) {
    for (double& x : re) x *= factor;
    for (double& x : im) x *= factor;
  }

  void mirror_upper() {
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i + 1; j < n; ++j) {
        re[j * n + i] = re[i * n + j];
        if (!im.empty()) im[j * n + i] = -im[i * n + j];
      }
  }

  // Row i of the product is the sum of the rows k weighted by the entries (i, k); only j >= i.
  void square() {
    std::fill(square_re.begin(), square_re.end(), 0.0);
    std::fill(square_im.begin(), square_im.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      double* out_re = square_re.data() + i * n;
      for (std::size_t k = 0; k < n; ++k) {
        const double a = re[i * n + k];
        const double* row_re = re.data() + k * n;
        if (im.empty()) {
#pragma omp simd
          for (std::size_t j = i; j < n; ++j) out_re[j] += a * row_re[j];
          continue;
        }
        const double b = im[i * n + k];
        const double* row_im = im.data() + k * n;
        double* out_im = square_im.data() + i * n;
#pragma omp simd
        for (std::size_t j = i; j < n; ++j) {
          out_re[j] += a * row_re[j] - b * row_im[j];
          out_im[j] += a * row_im[j] + b * row_re[j];
        }
      }
    }
    std::swap(re, square_re);
    std::swap(im, square_im);
    mirror_upper();
  }
};

// Upper bound of ln(lambda_max), destroying the matrix. After t squarings, each followed by a
// division by the Frobenius norm f_t, the bound is ln f_0 + sum 2^-t ln f_t; it only falls, and
// since lambda_max of what is left is at least f_t, by no more than 2^-t |ln f_t| from there on.
// Stops when that is negligible, or when the bound is no longer above `uninteresting`.
double log_eigenvalue_bound(Hermitian& matrix, double uninteresting) {
  constexpr double negligible = 2e-7;
  const int squarings = matrix.n <= 256 ? 26 : 12;
  const double first = matrix.frobenius_norm();
  if (first == 0.0) return -std::numeric_limits<double>::infinity();
  matrix.scale(1.0 / first);
  double bound = std::log(first);
  double weight = 1.0;
  for (int t = 0; t < squarings && bound > uninteresting; ++t) {
    matrix.square();
    const double norm = matrix.frobenius_norm();
    matrix.scale(1.0 / norm);
    weight *= 0.5;
    const double fall = -weight * std::log(norm);
    bound -= fall;
    if (fall <= negligible) break;
  }
  return bound;
}

// Vectors [n][length], real or complex: the smaller side of a matrix.
struct Vectors {
  Vectors(std::size_t count, std::size_t extent, bool complex)
      : n(count), length(extent), re(n * length), im(complex ? n * length : 0) {}

  std::size_t n, length;
  std::vector<double> re, im;

  // gram(i, j) = sum over k of v_i[k] conj(v_j[k])
  void gram(Hermitian& out) const {
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = i; j < n; ++j) {
        const double* xr = re.data() + i * length;
        const double* yr = re.data() + j * length;
        double sum_re = 0.0, sum_im = 0.0;
        if (im.empty()) {
#pragma omp simd reduction(+ : sum_re)
          for (std::size_t k = 0; k < length; ++k) sum_re += xr[k] * yr[k];
        } else {
          const double* xi = im.data() + i * length;
          const double* yi = im.data() + j * length;
#pragma omp simd reduction(+ : sum_re, sum_im)
          for (std::size_t k = 0; k < length; ++k) {
            sum_re += xr[k] * yr[k] + xi[k] * yi[k];
            sum_im += xi[k] * yr[k] - xr[k] * yi[k];
          }
          out.im[i * n + j] = sum_im;
        }
        out.re[i * n + j] = sum_re;
      }
    out.mirror_upper();
  }
};

}  // namespace

double singular_value_bound(std::span<const float> matrix, std::int64_t rows, std::int64_t cols) {
  const auto r = static_cast<std::size_t>(rows), c = static_cast<std::size_t>(cols);
  const bool wide = r <= c;
  Vectors vectors(wide ? r : c, wide ? c : r, false);
  for (std::size_t i = 0; i < r; ++i)
    for (std::size_t j = 0; j < c; ++j)
      vectors.re[wide ? i * c + j : j * r + i] = matrix[i * c + j];
  Hermitian gram(vectors.n, false);
  vectors.gram(gram);
  const double log_bound = log_eigenvalue_bound(gram, -std::numeric_limits<double>::infinity());
  return std::exp(0.5 * log_bound) * (1.0 + margin);
}

double polyphase_bound(std::span<const float> weight, std::int64_t out_c, std::int64_t in_c,
                       std::int64_t kernel_h, std::int64_t kernel_w, std::int64_t stride,
                       std::int64_t torus_h, std::int64_t torus_w) {
  const std::int64_t grid_h = torus_h / stride, grid_w = torus_w / stride;
  const std::int64_t pairs = out_c * in_c;
  const std::int64_t cols = stride * stride * in_c;
  const bool wide = out_c <= cols;
  const auto table = [](std::int64_t n) {  // cos and sin of 2 pi i / n
    std::vector<std::pair<double, double>> t(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      const double angle = 2.0 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
      t[static_cast<std::size_t>(i)] = {std::cos(angle), std::sin(angle)};
    }
    return t;
  };
  const auto turn_h = table(torus_h), turn_w = table(torus_w);

  double best = -std::numeric_limits<double>::infinity();
#pragma omp parallel
  {
    Vectors vectors(static_cast<std::size_t>(wide ? out_c : cols),
                    static_cast<std::size_t>(wide ? cols : out_c), true);
    Hermitian gram(vectors.n, true);
    // Transform along the height, [alias of u][pair][kernel_w], shared by all v.
    std::vector<double> half_re(static_cast<std::size_t>(stride * pairs * kernel_w));
    std::vector<double> half_im(half_re.size());

    // The kernel is real: frequency (-u, -v) has the conjugate matrix, and half of the u suffice.
#pragma omp for schedule(dynamic)
    for (std::int64_t u = 0; u <= grid_h / 2; ++u) {
      for (std::int64_t a = 0; a < stride; ++a)
        for (std::int64_t p = 0; p < pairs; ++p)
          for (std::int64_t x = 0; x < kernel_w; ++x) {
            double sum_re = 0.0, sum_im = 0.0;
            for (std::int64_t y = 0; y < kernel_h; ++y) {
              const double k = weight[static_cast<std::size_t>((p * kernel_h + y) * kernel_w + x)];
              const auto& [c, s] = turn_h[static_cast<std::size_t>((u + a * grid_h) * y % torus_h)];
              sum_re += k * c;
              sum_im -= k * s;
            }
            const auto at = static_cast<std::size_t>((a * pairs + p) * kernel_w + x);
            half_re[at] = sum_re;
            half_im[at] = sum_im;
          }
      const bool own_mirror = u == 0 || 2 * u == grid_h;
      for (std::int64_t v = 0; v < (own_mirror ? grid_w / 2 + 1 : grid_w); ++v) {
        for (std::int64_t a = 0; a < stride; ++a)
          for (std::int64_t b = 0; b < stride; ++b)
            for (std::int64_t p = 0; p < pairs; ++p) {
              double sum_re = 0.0, sum_im = 0.0;
              for (std::int64_t x = 0; x < kernel_w; ++x) {
                const auto at = static_cast<std::size_t>((a * pairs + p) * kernel_w + x);
                const auto& [c, s] =
                    turn_w[static_cast<std::size_t>((v + b * grid_w) * x % torus_w)];
                sum_re += half_re[at] * c + half_im[at] * s;
                sum_im += half_im[at] * c - half_re[at] * s;
              }
              const std::int64_t row = p / in_c, col = (a * stride + b) * in_c + p % in_c;
              const auto at = static_cast<std::size_t>(wide ? row * cols + col : col * out_c + row);
              vectors.re[at] = sum_re;
              vectors.im[at] = sum_im;
            }
        vectors.gram(gram);
        double known;
#pragma omp atomic read
        known = best;
        const double bound = log_eigenvalue_bound(gram, known);
#pragma omp critical(pixeldp_polyphase)
        if (bound > best) {
#pragma omp atomic write
          best = bound;
        }
      }
    }
  }
  return std::exp(0.5 * best) / static_cast<double>(stride) * (1.0 + margin);
}

}  // namespace pixeldp
