/// Convolutions in bf16 and in tf32 by kernels/cuda/convolution_gemm.cuh.
#include "kernels/cuda/convolution_gemm.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {

template <class Element, class Output>
void conv2d_gemm(void* stream, const ConvPass& pass, const ConvTile& tile, const Element* x,
                 const Element* weight, const ConvEpilogue& epilogue, Output* y) {
  const ConvPlan plan =
      ConvPlan::make(pass, chunk_of<Element>, tile, x, weight, epilogue, y, sizeof(Output));
  if (plan.blocks == 0) return;
  convolution_gemm::start(stream, plan, tile, x, weight + pass.weight_first, epilogue, y);
}

template void conv2d_gemm(void*, const ConvPass&, const ConvTile&, const std::uint16_t*,
                          const std::uint16_t*, const ConvEpilogue&, std::uint16_t*);
template void conv2d_gemm(void*, const ConvPass&, const ConvTile&, const std::uint16_t*,
                          const std::uint16_t*, const ConvEpilogue&, float*);
template void conv2d_gemm(void*, const ConvPass&, const ConvTile&, const float*, const float*,
                          const ConvEpilogue&, float*);

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
