#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/inference.hpp"

namespace pixeldp::kernels {

/// Whether the noise and steps behind it may become one kernel where the device has such a kernel.
enum class Fusion { allowed, none };

/// How a plan is calculated on devices other than processors: what becomes one launch, in what
/// precision each value lies in memory, and where. It follows from the arguments alone.
///
/// With Precision::bf16 operands of products are in bf16, and so is what lies between launches,
/// sums of residual units included, where its channels come by eights; sums within a launch are in
/// fp32. What a plan reads, means over pixels, and the result are in fp32. With Precision::fp32
/// everything is.
struct DeviceSchedule {
  struct Value {
    std::int64_t size = 0;  ///< elements of a row
    bool bf16 = false;
    std::int64_t at = 0;  ///< in bytes, in the workspace; the input and the result are elsewhere
    bool written = false;
    std::int64_t bytes() const { return size * (bf16 ? 2 : 4); }  ///< of a row
  };

  struct Launch {
    /// Of the plan; none: the noise by itself.
    std::optional<std::size_t> step = {};
    /// The noise by itself, or made inside a convolution, perhaps with a scaling of it.
    bool noise = false;
    std::optional<std::size_t> prologue = {};
    /// A scaling that alone or among others reads what a product makes, made in its epilogue.
    std::optional<std::size_t> epilogue = {};
  };

  std::int64_t rows = 0;
  Precision precision = Precision::fp32;
  bool noisy = false;  ///< value 0 is made from prefixes by noise
  std::vector<Value> values = {};
  std::vector<Launch> launches = {};
  std::int64_t workspace = 0;  ///< bytes

  /// For so many rows. `noisy`: the plan follows the noise. Throws an Error for
  /// precisions that devices have not.
  static DeviceSchedule make(const InferencePlan& plan, std::int64_t rows, Precision precision,
                             bool noisy = false, Fusion fusion = Fusion::allowed);

  /// Throws an Error for a run with draws of a plan that takes none, or without of one that does.
  void check_run(bool with_draws) const;

  /// What the launches read and write of values, per row, each as often as a launch touches it; not
  /// the weights, and not the prefix, which rows share.
  std::int64_t bytes_per_row(const InferencePlan& plan) const;
};

}  // namespace pixeldp::kernels
