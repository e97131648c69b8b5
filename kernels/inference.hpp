#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/convolution.hpp"
#include "kernels/noise.hpp"
#include "kernels/pooling.hpp"
#include "kernels/precision.hpp"
#include "kernels/row_operation.hpp"

namespace pixeldp::kernels {

/// One operation on rows. Shapes are those of a single row (batch 1), images NHWC.
struct InferenceStep {
  enum class Kind {
    convolution,  ///< activation((x (*) weight) * scale[c] + shift[c] + residual)
    dense,        ///< activation(weight x + shift): weight [outputs, inputs]
    scaling,      ///< activation(x * scale[c] + shift[c]) for the last axis
    addition,     ///< activation(x + residual)
    shortcut,     ///< as shortcut_forward
    pool,         ///< as global_average_pool
    standardise,  ///< as kernels/standardise.hpp
    noise,        ///< as add_noise
    operation     ///< as `operation` says
  };

  Kind kind = Kind::convolution;
  std::string name = {};  ///< of the layer; one that multiplies is known by it
  /// Which values it reads: x, and then what is added (always by an addition, where there is one
  /// by a convolution); by an operation as many as that says.
  std::vector<int> inputs = {};
  Activation activation = {};         ///< of the first four, and of noise
  Conv2dShape convolution = {};       ///< of a convolution
  ShortcutShape shortcut_shape = {};  ///< of a shortcut
  /// Of a dense layer, and the channels of all that knows such; else all values of a row.
  std::int64_t outputs = 0;
  /// Of a scaling both scale and shift; of a product perhaps both, or a shift. Empty: 1 and 0.
  std::vector<float> weight = {}, scale = {}, shift = {};
  NoiseDistribution distribution = NoiseDistribution::none;
  float noise_scale = 0.0f;
  std::shared_ptr<const RowOperation> operation = {};

  bool multiplies() const { return kind == Kind::convolution || kind == Kind::dense; }
  /// The convolution of one row that a step which multiplies is: a dense layer, of one pixel.
  Conv2dShape product_shape() const;
  int input() const { return inputs.front(); }
  bool has_residual() const { return inputs.size() > 1 && kind != Kind::operation; }
  int residual() const { return inputs.at(1); }
};

/// What is calculated in inference mode, as steps that each make one more value. Value 0 is the
/// input, value i + 1 the result of step i, and the last one is the result of all.
struct InferencePlan {
  std::vector<std::int64_t> sizes;  ///< elements of a row of each value
  std::vector<InferenceStep> steps;

  explicit InferencePlan(std::int64_t input_size = 0) : sizes{input_size} {}
  /// Returns the number of the value that the step makes.
  int add(InferenceStep step);
  /// How many steps read a value.
  std::int64_t readers(int value) const;

 private:
  void check_operation(const InferenceStep& step) const;
};

/// The same function in fewer steps: a scaling or an addition that alone reads the sums of a
/// convolution becomes part of that, and of an operation what that takes into its pass.
InferencePlan fold(InferencePlan plan);

/// A PixelDP classifier lowered for inference, which is all that certification knows of it: once
/// per image the prefix, then per draw the noise, the body, and the head with its statistics
/// (kernels/draw_statistics.hpp).
struct NetworkPlan {
  InferencePlan prefix, body;
  NoiseDistribution distribution = NoiseDistribution::none;
  float noise_scale = 0.0f;
  Activation noise_activation = {};  ///< follows the noise, in the same pass
  std::int64_t classes = 0;
  std::vector<float> head_weight = {}, head_bias = {};  ///< [classes, features], [classes]

  std::int64_t image_size() const { return prefix.sizes.front(); }
  std::int64_t noise_size() const { return body.sizes.front(); }
  std::int64_t features() const { return body.sizes.back(); }
  NoiseParams noise(std::uint64_t seed, StreamTag tag) const {
    return {distribution, noise_scale, seed, tag, noise_activation};
  }
};

/// Takes a plan apart at its one noise step, and its last step off as the head. Throws an Error
/// where there is no such step or more than one, where anything after the noise reads what was
/// before it, which no noise would hide, and where the last step is no plain dense layer.
NetworkPlan divide(InferencePlan plan);

/// How a processor multiplies where a shape leaves it a choice.
enum class Algorithm {
  direct,   ///< all that the definition multiplies
  winograd  ///< by F(4x4, 3x3) what takes_winograd; directly all else
};

/// Whether Algorithm::winograd multiplies a convolution so, which its shape alone decides: 3x3 with
/// stride 1, or 5x5 with stride 2 (3x3 over four phases of the image), with whole groups of 16
/// channels, and results that fill at least half of their tiles of 4x4. In bf16, whose products are
/// twice as fast while this algorithm's are those of fp32, only 3x3 of at least 64 channels.
bool takes_winograd(const Conv2dShape& shape, Precision precision = Precision::fp32);
/// Whether it does so with any step.
bool takes_winograd(const InferencePlan& plan, Precision precision = Precision::fp32);

/// Takes what a multiplying step reads, some rows at a time.
using InferenceObserver = std::function<void(std::size_t step, std::span<const float> values)>;

/// A plan prepared for a processor in one of three precisions:
///
/// fp32  Products and values in fp32. Algorithms round differently.
/// bf16  Operands of products and values between steps are rounded to bf16 (to nearest, ties to
///       even); sums, scales, shifts and activations are in fp32.
/// int8  Operands of products are whole multiples of a scale: a weight w of output c becomes
///       round(w / s[c]), s[c] = max |w of c| / 127; a value x becomes round(clamp(x / s, -127,
///       127)), s that of the step in `scales`. Sums are exact, in 32 bits, by either algorithm.
///       All else is a fixed sequence of operations of IEEE 754 that round once each, on values in
///       fp32 (kernels/cpu/simd_inference.hpp), so that results have the same bits on every
///       processor, and on other devices (kernels/device_schedule.hpp).
///
/// A row's result does not depend on the other rows, on how many there are, or on threads, to the
/// last bit: each sum has one order (kernels/cpu/product_kernels.hpp, winograd_kernels.hpp).
class Inference {
 public:
  virtual ~Inference() = default;
  /// Bytes that a run needs, whatever the number of rows. They need not be initialised.
  virtual std::int64_t workspace_size() const = 0;
  /// x and y are fp32, of `rows` rows; the workspace is aligned to 64 bytes. Several threads may
  /// run it at once, each with its own workspace. Observers are for fp32.
  virtual void run(std::int64_t rows, const float* x, float* y, void* workspace,
                   const InferenceObserver& observe = {}) const = 0;
};

/// Why this processor cannot calculate in that precision; empty: it can. It takes AVX-512 BF16 for
/// bf16, and nothing for fp32 and int8.
std::string inference_obstacle(Precision precision);

/// `scales`: for int8, one for each step, above 0 for those that multiply. Throws an Error for
/// scales that are not, sums that could overflow, where there is an obstacle, and where memory is
/// short.
std::unique_ptr<Inference> prepare_inference(const InferencePlan& plan, Precision precision,
                                             std::span<const float> scales = {},
                                             Algorithm algorithm = Algorithm::direct);

/// Bytes of a plan's weights when they are prepared for this processor. (Where 8 bits are too many
/// for exact sums by Winograd's algorithm, which only weights can tell, they are fewer.)
std::int64_t prepared_weight_bytes(const InferencePlan& plan, Precision precision,
                                   Algorithm algorithm);

}  // namespace pixeldp::kernels
