#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/inference.hpp"

namespace pixeldp::kernels {

/// Whether the noise and steps behind it may become one kernel where the device has such a kernel.
enum class Fusion { allowed, none };

/// What noise is added to: values, or steps of a lattice (kernels/lattice_noise.hpp).
enum class Prefixes { floats, lattice };

/// How a plan is calculated on devices other than processors: what becomes one launch, in what
/// precision each value lies in memory, and where. It follows from the arguments alone.
///
/// With Precision::bf16 operands of products are in bf16, and so is what lies between launches,
/// sums of residual units included, where its channels come by eights; sums within a launch are in
/// fp32. What a plan reads, means over pixels, what row operations make, and the result are in
/// fp32. With Precision::fp32 everything is.
///
/// With Precision::int8 values have the very bits that they have on processors
/// (kernels/inference.hpp): they are in fp32, in bytes where products read them whose channels fill
/// vectors of 16, or in both. Products of other channels round what they read themselves.
struct DeviceSchedule {
  struct Value {
    std::int64_t size = 0;  ///< elements of a row
    bool bf16 = false;
    std::int64_t at = 0;  ///< in bytes, in the workspace; the input and the result are elsewhere
    bool written = false;
    std::int64_t bytes() const { return size * (bf16 ? 2 : 4); }  ///< of a row
    /// int8: 1 / the scale of the products that read it; 0 where none does.
    float inverse_scale = 0.0f;
    bool in_int8 = false;      ///< written as bytes, too, or instead
    std::int64_t int8_at = 0;  ///< where these lie
  };

  struct Launch {
    /// Of the plan; none: the noise by itself or, without noise, the input rounded to bytes.
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
  Prefixes prefixes = Prefixes::floats;
  std::vector<Value> values = {};
  std::vector<Launch> launches = {};
  std::int64_t workspace = 0;  ///< bytes

  /// For so many rows. `noisy`: the plan follows the noise, which is by itself on a lattice.
  /// `scales`: for int8, as of prepare_inference. Throws an Error for precisions and steps that
  /// devices have not, and the Errors of inverse_scales.
  static DeviceSchedule make(const InferencePlan& plan, std::int64_t rows, Precision precision,
                             bool noisy = false, Fusion fusion = Fusion::allowed,
                             std::span<const float> scales = {},
                             Prefixes prefixes = Prefixes::floats);

  /// Throws an Error for a run with draws of a plan that takes none, or without of one that does,
  /// and for draws of other prefixes.
  void check_run(bool with_draws, Prefixes given = Prefixes::floats) const;
};

/// Why devices give a plan in fp32, such as a prefix, other bits than processors do (those of
/// Algorithm::direct); empty: they give the same ones, but for the sign of a 0.
std::string fp32_difference(const InferencePlan& plan);

}  // namespace pixeldp::kernels
