#include "tests/kernels/cuda/batch_norm_run.cuh"
#include "tests/ptx/batch_norm_on_device.hpp"

namespace pixeldp::kernels::cuda {
namespace {

template <class Case>
Case after_run(Case c, std::size_t offset) {
  run(c, offset);
  return c;
}

}  // namespace

BatchNormCase run_compiled(BatchNormCase c, std::size_t offset) { return after_run(c, offset); }
GlobalPoolCase run_compiled(GlobalPoolCase c, std::size_t offset) { return after_run(c, offset); }
ShortcutCase run_compiled(ShortcutCase c, std::size_t offset) { return after_run(c, offset); }
AddCase run_compiled(AddCase c, std::size_t offset) { return after_run(c, offset); }
StandardiseCase run_compiled(StandardiseCase c, std::size_t offset) { return after_run(c, offset); }

}  // namespace pixeldp::kernels::cuda
