#include "kernels/cpu/plain.hpp"
#include "kernels/cpu/simd_inference.hpp"
#include "kernels/cpu/simd_lattice.hpp"
#include "kernels/cpu/simd_noise.hpp"
#include "kernels/cpu/simd_product.hpp"
#include "kernels/cpu/simd_rows.hpp"
#include "kernels/cpu/simd_statistics.hpp"
#include "kernels/cpu/simd_winograd.hpp"

namespace pixeldp::kernels::cpu {

const SimdKernels plain_kernels = {add_noise<Plain>,
                                   add_lattice_noise<Plain>,
                                   Plain::tile_rows,
                                   logits<Plain>,
                                   add_scores<Plain>,
                                   inference_kernels<Plain>,
                                   row_kernels<Plain>,
                                   {.fp32 = sweep<Plain, RealProducts<Plain>>,
                                    .int16 = sweep<Plain, ShortProducts<Plain>>,
                                    .widen = widen<Plain>},
                                   dense_kernels<Plain>,
                                   winograd_kernels<Plain>};

}  // namespace pixeldp::kernels::cpu
