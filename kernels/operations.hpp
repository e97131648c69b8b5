#pragma once

#include "kernels/ball.hpp"
#include "kernels/batch_norm.hpp"
#include "kernels/bounds.hpp"
#include "kernels/convolution.hpp"
#include "kernels/dense.hpp"
#include "kernels/device_plan.hpp"
#include "kernels/draw_statistics.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/loss.hpp"
#include "kernels/multi_draw.hpp"
#include "kernels/noise.hpp"
#include "kernels/parseval.hpp"
#include "kernels/pooling.hpp"
#include "kernels/sgd.hpp"
#include "kernels/slice_norms.hpp"
#include "kernels/standardise.hpp"
#include "kernels/training_product.hpp"

/// X(name) for each operation. kernels::name is its contract: it checks the arguments, the same on
/// every device, and calls the function of that name and type that its stream's device has.
#define PIXELDP_OPERATIONS(X)     \
  X(add_noise)                    \
  X(draw_statistics)              \
  X(bound_predictions)            \
  X(pack_multi_draw)              \
  X(pack_device_plan)             \
  X(conv2d_forward)               \
  X(conv2d_backward_data)         \
  X(conv2d_backward_weight)       \
  X(dense_forward)                \
  X(dense_backward_data)          \
  X(dense_backward_weight)        \
  X(training_convolution)         \
  X(training_dense)               \
  X(batch_norm_statistics)        \
  X(batch_norm_normalise)         \
  X(batch_norm_gradient_sums)     \
  X(batch_norm_input_gradient)    \
  X(fold_batch_norm)              \
  X(batch_norm_inference)         \
  X(global_average_pool)          \
  X(global_average_pool_backward) \
  X(shortcut_forward)             \
  X(shortcut_backward)            \
  X(add)                          \
  X(standardise)                  \
  X(standardise_backward)         \
  X(activate)                     \
  X(activation_backward)          \
  X(average_rows)                 \
  X(softmax_cross_entropy)        \
  X(sgd_steps)                    \
  X(parseval_project)             \
  X(normalise_slices)             \
  X(step_in_ball)

/// In the namespace of a device: PIXELDP_OPERATIONS(PIXELDP_DECLARE_OPERATION) declares its
/// functions, and Operations{PIXELDP_OPERATIONS(PIXELDP_OPERATION_ENTRY)} is its table.
#define PIXELDP_DECLARE_OPERATION(name) decltype(kernels::name) name;
#define PIXELDP_OPERATION_ENTRY(name) .name = name,

namespace pixeldp::kernels {

/// The functions of one kind of device. None can be missing: what a device lacks is a function that
/// says so. Arguments have been checked.
struct Operations {
#define PIXELDP_OPERATION_MEMBER(name) decltype(kernels::name)& name;
  PIXELDP_OPERATIONS(PIXELDP_OPERATION_MEMBER)
#undef PIXELDP_OPERATION_MEMBER
};

/// The table of the stream's device. Throws a usage error where this program has none.
const Operations& operations(const Stream& stream);

/// Makes the table of a kind of device known. It must live as long as the program.
void register_operations(DeviceKind kind, const Operations& operations);

}  // namespace pixeldp::kernels
