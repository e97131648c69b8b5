#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/device.hpp"
#include "kernels/activation.hpp"

namespace pixeldp::kernels {

/// An operation on rows in fp32, from one value or several to one, as processors do it. A row's
/// result depends on that row alone and has the same bits on every processor, for every sum has its
/// order; on devices too, where they have it (kernels/device_operation.hpp). Images are NHWC.
class RowOperation {
 public:
  virtual ~RowOperation() = default;

  /// "max pooling": for messages.
  virtual std::string_view name() const = 0;
  /// Elements of a row of each value that it reads, and of what it makes.
  virtual std::vector<std::int64_t> input_sizes() const = 0;
  virtual std::int64_t output_size() const = 0;

  /// One row. Any number of threads may call it at once.
  virtual void run(std::span<const float* const> x, float* y) const = 0;
  /// dx[i] = the gradient in x[i], from dy; overwritten, not added to. Those that are null are not
  /// wanted.
  virtual void backward(std::span<const float* const> x, const float* y, const float* dy,
                        std::span<float* const> dx) const = 0;

  /// The same operation followed by activation(scale[c] y + shift[c]) of its last axis in the same
  /// pass; null where it has none. No scale and shift: 1 and 0.
  virtual std::shared_ptr<const RowOperation> scaled(std::span<const float> scale,
                                                     std::span<const float> shift,
                                                     Activation activation) const;
  /// The same operation with its results limited to low ... high in the same pass; null likewise.
  virtual std::shared_ptr<const RowOperation> clamped(float low, float high) const;
  /// Those limits, of an operation that does nothing else.
  struct Limits {
    float low, high;
  };
  virtual const Limits* limits() const { return nullptr; }
};

/// Runs it on rows that follow each other, by several threads. Throws a usage error that names the
/// operation where the stream's device is no processor.
void run_rows(const Stream& stream, const RowOperation& operation, std::int64_t rows,
              std::span<const float* const> x, float* y);

/// Likewise the gradients.
void run_rows_backward(const Stream& stream, const RowOperation& operation, std::int64_t rows,
                       std::span<const float* const> x, const float* y, const float* dy,
                       std::span<float* const> dx);

/// Throws the usage error of run_rows.
void check_on_processor(const Stream& stream, std::string_view operation);

}  // namespace pixeldp::kernels
