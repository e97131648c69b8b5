#include "kernels/row_operation.hpp"

#include "engine/error.hpp"
#include "engine/threads.hpp"

namespace pixeldp::kernels {
namespace {

/// The rows `row` of values of these sizes; null where they are.
template <class T>
std::vector<T*> row_of(std::span<T* const> values, std::span<const std::int64_t> sizes,
                       std::int64_t row) {
  std::vector<T*> of(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    of[i] = values[i] ? values[i] + row * sizes[i] : nullptr;
  return of;
}

}  // namespace

std::shared_ptr<const RowOperation> RowOperation::scaled(std::span<const float>,
                                                         std::span<const float>, Activation) const {
  return nullptr;
}

std::shared_ptr<const RowOperation> RowOperation::clamped(float, float) const { return nullptr; }

void check_on_processor(const Stream& stream, std::string_view operation) {
  if (stream.device().kind != DeviceKind::cpu)
    fail_usage("the device {} has no kernel for {} yet: use 'cpu'", stream.device().name(),
               operation);
}

void run_rows(const Stream& stream, const RowOperation& operation, std::int64_t rows,
              std::span<const float* const> x, float* y) {
  check_on_processor(stream, operation.name());
  const std::vector<std::int64_t> sizes = operation.input_sizes();
  const std::int64_t made = operation.output_size();
  parallel_for(rows,
               [&](std::int64_t row) { operation.run(row_of(x, sizes, row), y + row * made); });
}

void run_rows_backward(const Stream& stream, const RowOperation& operation, std::int64_t rows,
                       std::span<const float* const> x, const float* y, const float* dy,
                       std::span<float* const> dx) {
  check_on_processor(stream, operation.name());
  const std::vector<std::int64_t> sizes = operation.input_sizes();
  const std::int64_t made = operation.output_size();
  parallel_for(rows, [&](std::int64_t row) {
    operation.backward(row_of(x, sizes, row), y + row * made, dy + row * made,
                       row_of(dx, sizes, row));
  });
}

}  // namespace pixeldp::kernels
