/// Row operations in plans: for each the kernel that does it, with what it needs in device memory.
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/row_operations.hpp"
#include "kernels/cuda/stream_scratch.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

/// Calls it with what is read, as what it is.
template <class Call>
void typed(const RowOperand& x, Call call) {
  x.bf16 ? call(static_cast<const std::uint16_t*>(x.values))
         : call(static_cast<const float*>(x.values));
}

/// Values in device memory, copied in the stream from host memory, which they keep till then.
template <class T>
class Uploaded {
 public:
  Uploaded(void* stream, const std::vector<T>& values)
      : values_(values),
        memory_(static_cast<cudaStream_t>(stream), static_cast<std::int64_t>(values.size())) {
    if (values_.empty()) return;
    const std::size_t bytes = values_.size() * sizeof(T);
    check_call(cudaMemcpyAsync(memory_.data(), values_.data(), bytes, cudaMemcpyHostToDevice,
                               static_cast<cudaStream_t>(stream)),
               "copying " + std::to_string(bytes) + " bytes");
  }
  const T* data() const { return memory_.data(); }

 private:
  std::vector<T> values_;
  StreamScratch<T> memory_;
};

struct Preparation {
  void* stream;
  const DeviceOperation& operation;
  std::int64_t rows;

  RowWork operator()(const PointwiseRow& row) const {
    return [to = stream, function = row.function, values = rows * row.size](auto x, float* y) {
      typed(x[0], [&](const auto* from) { pointwise(to, function, values, from, y); });
    };
  }
  RowWork operator()(const SelectionRow& row) const {
    const auto places = std::make_shared<Uploaded<std::int64_t>>(stream, operation.places);
    return [to = stream, row, places, count = rows](auto x, float* y) {
      typed(x[0], [&](const auto* from) { select(to, row, count, places->data(), from, y); });
    };
  }
  RowWork operator()(const ConcatenationRow& row) const {
    std::int64_t all = 0;
    for (const std::int64_t channels : row.channels) all += channels;
    return [to = stream, row, all, pixels = rows * row.pixels](auto x, float* y) {
      std::int64_t first = 0;
      for (std::size_t i = 0; i < row.channels.size(); first += row.channels[i++])
        typed(x[i], [&](const auto* from) {
          put_channels(to, pixels, row.channels[i], first, all, from, y);
        });
    };
  }
  RowWork operator()(const MultiplicationRow& row) const {
    return [to = stream, row, count = rows](auto x, float* y) {
      typed(x[0], [&](const auto* a) {
        typed(x[1], [&](const auto* b) { multiply(to, row, count, a, b, y); });
      });
    };
  }
  RowWork operator()(const WindowPoolShape& shape) const {
    return [to = stream, shape, count = rows](auto x, float* y) {
      typed(x[0], [&](const auto* from) { window_pool(to, shape, count, from, y); });
    };
  }
  RowWork operator()(const GroupedSpan& span) const {
    const auto weight = std::make_shared<Uploaded<float>>(stream, operation.weight),
               shift = std::make_shared<Uploaded<float>>(stream, operation.shift);
    GroupedSpan placed = span;
    placed.weight = weight->data(), placed.shift = shift->data();
    return [to = stream, placed, weight, shift, count = rows](auto x, float* y) {
      typed(x[0], [&](const auto* from) { grouped_convolution(to, placed, count, from, y); });
    };
  }
};

}  // namespace

RowWork prepare_rows(void* stream, const DeviceOperation& operation, std::int64_t rows) {
  return std::visit(Preparation{stream, operation, rows}, operation.row);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
