#include "kernels/cpu/operations.hpp"

#include "engine/error.hpp"

namespace pixeldp::kernels::cpu {

// What processors lack.

void bound_predictions(const Stream&, const BoundsParams&, const CountedDraws&, BoundedPrediction*,
                       std::uint64_t*) {
  fail("a processor makes certificates one by one (pixeldp::certify), not by bound_predictions");
}

std::unique_ptr<MultiDraw> pack_multi_draw(const Stream&, const MultiDrawNetwork&,
                                           const MultiDrawWeights&) {
  fail("a processor has no multi-draw kernel: evaluate the network layer by layer");
}

std::unique_ptr<DevicePlan> pack_device_plan(const Stream&, const InferencePlan&,
                                             const std::vector<StepWeights>&, DeviceSchedule) {
  fail("a processor calculates plans by prepare_inference, not by prepare_device_plan");
}

// Rounding is a part of a processor's products: their passes share nothing.

std::unique_ptr<TrainingProduct> training_convolution(const Stream&, const Conv2dShape&,
                                                      Precision) {
  return nullptr;
}

std::unique_ptr<TrainingProduct> training_dense(const Stream&, const DenseShape&, Precision) {
  return nullptr;
}

const Operations& operations() {
  static const Operations table = {PIXELDP_OPERATIONS(PIXELDP_OPERATION_ENTRY)};
  return table;
}

}  // namespace pixeldp::kernels::cpu
