#include "kernels/cpu/inference_kernel.hpp"
#include "kernels/cpu/noise_kernel.hpp"
#include "kernels/cpu/plain.hpp"
#include "kernels/cpu/product_kernel.hpp"
#include "kernels/cpu/statistics_kernel.hpp"

namespace pixeldp::kernels::cpu {

const SimdKernels plain_kernels = {
    add_noise<Plain>,
    Plain::tile_rows,
    logits<Plain>,
    add_scores<Plain>,
    inference_kernels<Plain>,
    {.fp32 = sweep<Plain, RealProducts<Plain>>, .int8 = sweep<Plain, ByteProducts<Plain>>}};

}  // namespace pixeldp::kernels::cpu
