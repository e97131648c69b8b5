/// Convolutions in int8: of signed bytes with exact sums in 32 bits, by
/// kernels/cuda/convolution_gemm.cuh or, where warpgroups pay, by
/// kernels/cuda/convolution_wgmma.cu. A dense layer is an image of one pixel.
///
/// The order of the sums tells nothing, for they are exact. All behind them (int8_epilogue.cuh) is
/// the processor's sequence of operations, each rounded once: the same bits.
#include "kernels/cuda/convolution_gemm.cuh"
#include "kernels/cuda/convolution_wgmma.hpp"

namespace pixeldp::kernels::PIXELDP_DEVICE {

void conv2d_int8(void* stream, const Conv2dShape& shape, const ConvTile& tile, const std::int8_t* x,
                 const std::int8_t* weight, const Int8Epilogue& epilogue) {
  const ConvPlan plan = int8_conv_plan(shape, tile, x, weight, epilogue);
  if (plan.blocks == 0) return;
  convolution_gemm::start(stream, plan, tile, x, weight, epilogue);
}

void conv2d_int8(void* stream, const Conv2dShape& shape, const Int8ConvKernel& kernel,
                 const std::int8_t* x, const std::int8_t* weight, const Int8Epilogue& epilogue) {
  if (kernel.wgmma_channels > 0)
    conv2d_int8_wgmma(stream, shape, kernel.wgmma_channels, x, weight, epilogue);
  else
    PIXELDP_DEVICE::conv2d_int8(stream, shape, kernel.tile, x, weight, epilogue);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
