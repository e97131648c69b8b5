/// y = f(x), value by value, for the functions of kernels/pointwise_function.hpp
///
/// in the operations of the processor (kernels/cpu/simd_rows.hpp), each rounded once: e^-|x| is a
/// polynomial that both share, and no division or multiplication is fused with anything.
///
/// Layouts: dense, of any alignment, x in single precision or bf16, y in single precision.
///
/// Work: a thread makes one value; the function is the same for all, so that no warp diverges.
///
/// Bytes: x and y once each (4 or 2, and 4 per value). Operations: up to some 20 per value.
#include "kernels/cuda/lane.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/value.cuh"
#include "kernels/formulas/elementary.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

template <class V>
__device__ __forceinline__ float exp_of_minus(float x) {
  return exp_nonpositive<V>(x > 0.0f ? -x : x).value;
}

__device__ __forceinline__ float limited(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

__device__ __forceinline__ float value_of(const PointwiseFunction& f, float x) {
  using Kind = PointwiseFunction::Kind;
  switch (f.kind) {
    case Kind::clamp:
      return limited(x, f.a, f.b);
    case Kind::sigmoid: {
      const float e = exp_of_minus<Lane>(x);
      const float made = __fdiv_rn(x > 0.0f ? 1.0f : e, __fadd_rn(e, 1.0f));
      return x == x ? made : x;
    }
    case Kind::tanh: {
      const float e = exp_of_minus<Lane>(__fadd_rn(x, x));
      const float made = __fdiv_rn(__fsub_rn(1.0f, e), __fadd_rn(e, 1.0f));
      return x == x ? (x > 0.0f ? made : -made) : x;
    }
    case Kind::elu: {
      const float below = __fmul_rn(f.a, __fsub_rn(exp_of_minus<Lane>(x), 1.0f));
      return x <= 0.0f ? below : x;
    }
    case Kind::hard_sigmoid:
      return limited(__fadd_rn(__fmul_rn(x, f.a), f.b), 0.0f, 1.0f);
    case Kind::hard_swish:
      return __fmul_rn(x, limited(__fadd_rn(__fmul_rn(x, 1.0f / 6.0f), 0.5f), 0.0f, 1.0f));
  }
  return __uint_as_float(0x7fffffffu);  // no function: no number
}

template <class T>
__global__ void __launch_bounds__(value_threads)
    pointwise_kernel(PointwiseFunction function, std::int64_t values, const T* x, float* y) {
  const std::int64_t i = own_value();
  if (i < values) y[i] = value_of(function, load(x + i));
}

}  // namespace

template <class T>
void pointwise(void* stream, const PointwiseFunction& function, std::int64_t values, const T* x,
               float* y) {
  if (values == 0) return;
  launch<pointwise_kernel<T>>(row_blocks(values), value_threads, 0,
                              static_cast<cudaStream_t>(stream), function, values, x, y);
}

template void pointwise(void*, const PointwiseFunction&, std::int64_t, const float*, float*);
template void pointwise(void*, const PointwiseFunction&, std::int64_t, const std::uint16_t*,
                        float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
