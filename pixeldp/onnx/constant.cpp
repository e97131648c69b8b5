#include "pixeldp/onnx/constant.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/ranges.h>

#include "engine/error.hpp"

namespace pixeldp::onnx {
namespace {

/// Of each axis, in elements of the whole.
Dims strides_of(const Dims& dims) {
  Dims strides(dims.size());
  std::int64_t stride = 1;
  for (std::size_t k = dims.size(); k-- > 0; stride *= dims[k]) strides[k] = stride;
  return strides;
}

/// Called before anything is as large as the extents say.
void check_growth(std::int64_t source_size, const Dims& to) {
  const std::int64_t size = count(to);
  if (size > std::max(source_size, most_values))
    fail("{} elements become {}, which is too many", source_size, size);
}

/// Element (i, j, ...) of the result is number base + parts[0][i] + parts[1][j] + ..., or none
/// where one of these is negative.
Movement separable(std::int64_t source_size, std::int64_t base,
                   const std::vector<std::vector<std::int64_t>>& parts) {
  Movement made;
  for (const auto& part : parts) made.dims.push_back(std::ssize(part));
  check_growth(source_size, made.dims);
  made.from.assign(1, base);
  for (const auto& part : parts) {
    std::vector<std::int64_t> next;
    next.reserve(made.from.size() * part.size());
    for (const std::int64_t from : made.from)
      for (const std::int64_t more : part) next.push_back(from < 0 || more < 0 ? -1 : from + more);
    made.from = std::move(next);
  }
  return made;
}

/// 0, stride, 2 stride ...
std::vector<std::int64_t> steps(std::int64_t extent, std::int64_t stride) {
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < extent; ++i) all.push_back(i * stride);
  return all;
}

std::vector<std::vector<std::int64_t>> all_steps(const Dims& dims) {
  const Dims strides = strides_of(dims);
  std::vector<std::vector<std::int64_t>> parts;
  for (std::size_t k = 0; k < dims.size(); ++k) parts.push_back(steps(dims[k], strides[k]));
  return parts;
}

template <class T>
T calculated(char operation, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    T result = 0;
    bool overflows = false;
    switch (operation) {
      case '+':
        overflows = __builtin_add_overflow(a, b, &result);
        break;
      case '-':
        overflows = __builtin_sub_overflow(a, b, &result);
        break;
      case '*':
        overflows = __builtin_mul_overflow(a, b, &result);
        break;
      case '/':
        if (b == 0) fail("{} is divided by 0", a);
        overflows = b == -1 && a == std::numeric_limits<T>::min();
        if (!overflows) result = a / b;
        break;
      default:
        fail("{} {} {} is no calculation", a, operation, b);
    }
    if (overflows) fail("{} {} {} overflows", a, operation, b);
    return result;
  } else {
    switch (operation) {
      case '+':
        return a + b;
      case '-':
        return a - b;
      case '*':
        return a * b;
      case '/':
        return a / b;
      default:
        fail("{} {} {} is no calculation", a, operation, b);
    }
  }
}

}  // namespace

std::int64_t count(const Dims& dims) {
  constexpr std::int64_t most = 1 << 28;
  std::int64_t product = 1;  // of the extents that are not zero
  bool empty = false;
  for (const std::int64_t extent : dims) {
    if (extent < 0) fail("{} has an axis of extent {}", text(dims), extent);
    empty = empty || extent == 0;
    if (extent > most || (product *= std::max<std::int64_t>(extent, 1)) > most)
      fail("a tensor of {} has too many elements", text(dims));
  }
  if (empty && product > most_values) fail("a tensor of {} is empty, but long", text(dims));
  return empty ? 0 : product;
}

std::string text(const Dims& dims) {
  return dims.empty() ? "()" : fmt::format("{}", fmt::join(dims, "x"));
}

std::int64_t axis_of(std::int64_t axis, std::size_t rank) {
  const auto axes = static_cast<std::int64_t>(rank);
  if (axis < -axes || axis >= axes) fail("there is no axis {} among {}", axis, axes);
  return axis < 0 ? axis + axes : axis;
}

const std::vector<float>& Constant::reals() const {
  if (!is_real()) fail("a tensor of {} holds integers, not floats", text(dims));
  return std::get<std::vector<float>>(values);
}

const std::vector<std::int64_t>& Constant::integers() const {
  if (is_real()) fail("a tensor of {} holds floats, not integers", text(dims));
  return std::get<std::vector<std::int64_t>>(values);
}

Constant Constant::list(std::vector<std::int64_t> integers) {
  return {{std::ssize(integers)}, std::move(integers)};
}

Movement transpose(const Dims& dims, const Dims& order) {
  Dims sorted = order;
  std::ranges::sort(sorted);
  for (std::size_t k = 0; k < sorted.size(); ++k)
    if (sorted.size() != dims.size() || sorted[k] != static_cast<std::int64_t>(k))
      fail("({}) is no order of {} axes", fmt::join(order, ", "), dims.size());
  const auto parts = all_steps(dims);
  std::vector<std::vector<std::int64_t>> ordered;
  for (const std::int64_t k : order) ordered.push_back(parts[static_cast<std::size_t>(k)]);
  return separable(count(dims), 0, ordered);
}

Movement slice(const Dims& dims, const Dims& starts, const Dims& ends, const Dims& axes,
               const Dims& by) {
  if (starts.size() != ends.size() || axes.size() != starts.size() || by.size() != starts.size())
    fail("{} starts, {} ends, {} axes and {} steps are no slice", starts.size(), ends.size(),
         axes.size(), by.size());
  const Dims strides = strides_of(dims);
  auto parts = all_steps(dims);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto k = static_cast<std::size_t>(axis_of(axes[i], dims.size()));
    const std::int64_t extent = dims[k], step = by[i];
    if (step == 0) fail("a slice has step 0");
    const auto place = [&](std::int64_t at) {
      if (at < 0) at += extent;
      return step > 0 ? std::clamp<std::int64_t>(at, 0, extent)
                      : std::clamp<std::int64_t>(at, -1, extent - 1);
    };
    const std::int64_t first = place(starts[i]), end = place(ends[i]);
    parts[k].clear();
    // No step is larger than the axis: what lies beyond it is one step away.
    const std::int64_t stride = std::clamp(step, -extent - 1, extent + 1);
    for (std::int64_t at = first; stride > 0 ? at < end : at > end; at += stride)
      parts[k].push_back(at * strides[k]);
  }
  return separable(count(dims), 0, parts);
}

Movement gather(const Dims& dims, const Constant& indices, std::int64_t axis) {
  if (indices.dims.size() > 1) fail("indices of {} axes are not read", indices.dims.size());
  const auto k = static_cast<std::size_t>(axis_of(axis, dims.size()));
  const std::int64_t stride = strides_of(dims)[k];
  std::vector<std::int64_t> chosen;
  for (const std::int64_t index : indices.integers()) {
    if (index < -dims[k] || index >= dims[k])
      fail("there is no index {} on an axis of extent {}", index, dims[k]);
    chosen.push_back((index < 0 ? index + dims[k] : index) * stride);
  }
  auto parts = all_steps(dims);
  if (!indices.dims.empty()) {
    parts[k] = std::move(chosen);
    return separable(count(dims), 0, parts);
  }
  parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(k));
  return separable(count(dims), chosen.at(0), parts);
}

Movement expand(const Dims& dims, const Dims& to) {
  const Dims made = broadcast(dims, to);
  check_growth(count(dims), made);
  auto parts = all_steps(dims);
  parts.insert(parts.begin(), made.size() - dims.size(), {0});
  for (std::size_t k = 0; k < made.size(); ++k)
    if (parts[k].size() == 1) parts[k].assign(static_cast<std::size_t>(made[k]), parts[k][0]);
  return separable(count(dims), 0, parts);
}

Movement pad(const Dims& dims, const Dims& before, const Dims& after, const std::string& mode) {
  if (mode != "constant" && mode != "edge" && mode != "reflect")
    fail("padding of mode '{}' is not read", mode);
  const Dims strides = strides_of(dims);
  Dims made(dims.size());
  for (std::size_t k = 0; k < dims.size(); ++k) {
    for (const std::int64_t padding : {before[k], after[k]})
      if (padding < -most_values || padding > most_values)
        fail("padding of {} is too much", padding);
    made[k] = std::max<std::int64_t>(dims[k] + before[k] + after[k], 0);
  }
  check_growth(count(dims), made);
  std::vector<std::vector<std::int64_t>> parts(dims.size());
  for (std::size_t k = 0; k < dims.size(); ++k) {
    const std::int64_t extent = dims[k];
    if (extent < 1 && mode != "constant") fail("there is nothing to pad with");
    if (mode == "reflect" && std::max(before[k], after[k]) >= extent)
      fail("padding of {} and {} reflects more than there is, {}", before[k], after[k], extent);
    for (std::int64_t at = -before[k]; at < extent + after[k]; ++at) {
      std::int64_t from = at;
      if (mode == "edge") from = std::clamp<std::int64_t>(at, 0, extent - 1);
      if (mode == "reflect") from = at < 0 ? -at : at >= extent ? 2 * (extent - 1) - at : at;
      parts[k].push_back(from < 0 || from >= extent ? -1 : from * strides[k]);
    }
  }
  return separable(count(dims), 0, parts);
}

Dims broadcast(const Dims& a, const Dims& b) {
  const std::size_t rank = std::max(a.size(), b.size());
  Dims made(rank);
  for (std::size_t k = 0; k < rank; ++k) {
    const auto extent = [&](const Dims& of) {
      return k + of.size() < rank ? 1 : of[k + of.size() - rank];
    };
    if (extent(a) != extent(b) && extent(a) != 1 && extent(b) != 1)
      fail("{} and {} do not fit each other", text(a), text(b));
    made[k] = extent(a) == 1 ? extent(b) : extent(a);
  }
  return made;
}

Dims reshape(const Dims& dims, const Dims& to, bool allow_zero) {
  Dims made = to;
  std::ptrdiff_t open = -1;
  for (std::size_t k = 0; k < made.size(); ++k) {
    if (made[k] == 0 && !allow_zero) {
      if (k >= dims.size()) fail("{} has no axis {} to keep", text(dims), k);
      made[k] = dims[k];
    }
    if (made[k] == -1) {
      if (open >= 0) fail("a shape of ({}) leaves two axes open", fmt::join(to, ", "));
      open = static_cast<std::ptrdiff_t>(k);
    }
  }
  const std::int64_t size = count(dims);
  if (open >= 0) {
    auto& extent = made[static_cast<std::size_t>(open)];
    extent = 1;
    const std::int64_t others = count(made);
    if (others > 0) extent = size / others;
  }
  if (count(made) != size)
    fail("{} elements of {} have no shape ({})", size, text(dims), fmt::join(to, ", "));
  return made;
}

Dims squeeze(const Dims& dims, const Dims& axes) {
  std::vector<bool> gone(dims.size(), false);
  for (const std::int64_t axis : axes) {
    const auto k = static_cast<std::size_t>(axis_of(axis, dims.size()));
    if (dims[k] != 1) fail("axis {} of {} is not of extent 1", axis, text(dims));
    gone[k] = true;
  }
  Dims made;
  for (std::size_t k = 0; k < dims.size(); ++k)
    if (axes.empty() ? dims[k] != 1 : !gone[k]) made.push_back(dims[k]);
  return made;
}

Dims unsqueeze(const Dims& dims, const Dims& axes) {
  const std::size_t rank = dims.size() + axes.size();
  std::vector<bool> added(rank, false);
  for (const std::int64_t axis : axes) {
    const auto k = static_cast<std::size_t>(axis_of(axis, rank));
    if (added[k]) fail("axis {} is added twice", axis);
    added[k] = true;
  }
  Dims made;
  auto next = dims.begin();
  for (std::size_t k = 0; k < rank; ++k) made.push_back(added[k] ? 1 : *next++);
  return made;
}

Constant moved(const Constant& constant, const Movement& movement, float fill) {
  Constant made{movement.dims, constant.values};
  std::visit(
      [&](auto& values) {
        using Values = std::remove_reference_t<decltype(values)>;
        using T = typename Values::value_type;
        const auto& from = std::get<Values>(constant.values);
        values.clear();
        for (const std::int64_t at : movement.from)
          values.push_back(at < 0 ? static_cast<T>(fill) : from[static_cast<std::size_t>(at)]);
      },
      made.values);
  return made;
}

Constant concatenate(std::span<const Constant* const> parts, std::int64_t axis) {
  if (parts.empty()) fail("there is nothing to concatenate");
  Constant made = *parts[0];
  const auto k = static_cast<std::size_t>(axis_of(axis, made.dims.size()));
  made.dims[k] = 0;
  for (const Constant* part : parts) {
    Dims without = part->dims;
    if (without.size() != made.dims.size() || part->is_real() != made.is_real())
      fail("{} and {} cannot be put side by side", text(parts[0]->dims), text(part->dims));
    without[k] = made.dims[k];
    if (without != made.dims)
      fail("{} and {} cannot be put side by side", text(parts[0]->dims), text(part->dims));
    made.dims[k] += part->dims[k];
    count(made.dims);  // refuses too many
  }
  const std::int64_t outer =
      count(Dims(made.dims.begin(), made.dims.begin() + static_cast<std::ptrdiff_t>(k)));
  std::visit(
      [&](auto& values) {
        using Values = std::remove_reference_t<decltype(values)>;
        values.clear();
        for (std::int64_t o = 0; o < outer; ++o)
          for (const Constant* part : parts) {
            const auto& from = std::get<Values>(part->values);
            const auto of_outer = std::ssize(from) / outer;
            values.insert(values.end(), from.begin() + o * of_outer,
                          from.begin() + (o + 1) * of_outer);
          }
      },
      made.values);
  return made;
}

Constant calculate(const std::string& operation, const Constant& a, const Constant& b) {
  const char sign = operation == "Add"   ? '+'
                    : operation == "Sub" ? '-'
                    : operation == "Mul" ? '*'
                    : operation == "Div" ? '/'
                                         : 0;
  if (sign == 0) fail("{} of two constants is not read", operation);
  if (a.is_real() != b.is_real()) fail("floats and integers do not mix");
  const Dims dims = broadcast(a.dims, b.dims);
  Constant to = a.dims == dims ? a : moved(a, expand(a.dims, dims));
  const bool single = b.size() == 1;
  const Constant other = b.dims == dims || single ? b : moved(b, expand(b.dims, dims));
  std::visit(
      [&](auto& values) {
        const auto& others = std::get<std::remove_reference_t<decltype(values)>>(other.values);
        for (std::size_t i = 0; i < values.size(); ++i)
          values[i] = calculated(sign, values[i], others[single ? 0 : i]);
      },
      to.values);
  return to;
}

bool calculate(const std::string& operation, const Constant& a, Constant& to) {
  float (*function)(float) = nullptr;
  if (operation == "Neg") function = [](float x) { return -x; };
  if (operation == "Sqrt") function = [](float x) { return std::sqrt(x); };
  if (operation == "Reciprocal") function = [](float x) { return 1.0f / x; };
  if (operation == "Floor") function = [](float x) { return std::floor(x); };
  if (operation == "Ceil") function = [](float x) { return std::ceil(x); };
  if (operation == "Abs") function = [](float x) { return std::abs(x); };
  if (!function) return false;
  std::vector<float> values = a.reals();
  for (float& value : values) value = function(value);
  to = {a.dims, std::move(values)};
  return true;
}

Constant cast(const Constant& constant, int type) {
  if (onnx_type_is_real(type)) {
    if (constant.is_real()) return constant;
    const auto& integers = constant.integers();
    return {constant.dims, std::vector<float>(integers.begin(), integers.end())};
  }
  std::vector<std::int64_t> values;
  if (!constant.is_real()) values = constant.integers();
  if (constant.is_real()) {
    for (const float value : constant.reals()) {
      if (!(std::abs(value) < 0x1p63f)) fail("{} is no integer", value);
      values.push_back(static_cast<std::int64_t>(value));
    }
  }
  if (type == onnx_bool)
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = constant.is_real() ? constant.reals()[i] != 0.0f : values[i] != 0;
  return {constant.dims, std::move(values)};
}

}  // namespace pixeldp::onnx
