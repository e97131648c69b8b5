#include "kernels/cuda/operations.hpp"

namespace pixeldp::kernels::emulated {

const Operations& operations() {
  static const Operations table = {PIXELDP_OPERATIONS(PIXELDP_OPERATION_ENTRY)};
  return table;
}

}  // namespace pixeldp::kernels::emulated
