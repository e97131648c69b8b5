#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/io/onnx.hpp"

namespace pixeldp::onnx {

using Dims = std::vector<std::int64_t>;

/// Of what depends on a picture, and of what a graph makes of fewer elements.
inline constexpr std::int64_t most_values = 1 << 24;

/// The number of elements. Throws an Error where an extent is negative or that is beyond 2^28; of
/// an empty tensor, where the other extents hold more than `most_values`.
std::int64_t count(const Dims& dims);
/// "1x3x8x8", "()" without axes.
std::string text(const Dims& dims);
/// An axis counted from the end where it is negative. Throws an Error where there is none.
std::int64_t axis_of(std::int64_t axis, std::size_t rank);

/// A tensor whose values are known when a network is read.
struct Constant {
  Dims dims = {};
  std::variant<std::vector<float>, std::vector<std::int64_t>> values;

  bool is_real() const { return std::holds_alternative<std::vector<float>>(values); }
  std::int64_t size() const { return count(dims); }
  /// Throw an Error where the values are of the other kind.
  const std::vector<float>& reals() const;
  const std::vector<std::int64_t>& integers() const;

  static Constant real(float value) { return {{}, std::vector<float>{value}}; }
  static Constant list(std::vector<std::int64_t> integers);
  static Constant of(const OnnxTensor& tensor) { return {tensor.dims, tensor.values}; }
};

/// Which elements of a tensor become those of another one, by their places in row-major order;
/// none: -1.
struct Movement {
  Dims dims;
  std::vector<std::int64_t> from;
};

// What moves elements. Throw an Error for what there is not, and for results beyond 2^24 elements
// that are larger than what they are made of.

Movement transpose(const Dims& dims, const Dims& order);
Movement slice(const Dims& dims, const Dims& starts, const Dims& ends, const Dims& axes,
               const Dims& steps);
/// The elements along an axis that indices name, which have no axis or one.
Movement gather(const Dims& dims, const Constant& indices, std::int64_t axis);
/// Repeats axes of extent 1, and adds axes in front.
Movement expand(const Dims& dims, const Dims& to);
/// Before and after each axis; negative numbers cut. Modes: constant (-1), edge, reflect.
Movement pad(const Dims& dims, const Dims& before, const Dims& after, const std::string& mode);
/// Both extents where they agree or one is 1.
Dims broadcast(const Dims& a, const Dims& b);
/// The extents that Reshape makes of `to`: 0 keeps one unless `allow_zero`, -1 takes what is left.
Dims reshape(const Dims& dims, const Dims& to, bool allow_zero);
Dims squeeze(const Dims& dims, const Dims& axes);  ///< none: all of extent 1
Dims unsqueeze(const Dims& dims, const Dims& axes);

Constant moved(const Constant& constant, const Movement& movement, float fill = 0.0f);
Constant concatenate(std::span<const Constant* const> parts, std::int64_t axis);
/// "Add", "Sub", "Mul", "Div" of reals or integers.
Constant calculate(const std::string& operation, const Constant& a, const Constant& b);
/// "Neg", "Sqrt", "Reciprocal", "Floor", "Ceil", "Abs" of reals. False: it is no such operation.
bool calculate(const std::string& operation, const Constant& a, Constant& to);
/// Reals or integers as the type says, which was checked to be one that is read.
Constant cast(const Constant& constant, int type);

}  // namespace pixeldp::onnx
