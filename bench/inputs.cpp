#include "bench/inputs.hpp"

#include <algorithm>
#include <bit>
#include <random>
#include <type_traits>

namespace pixeldp::bench {
namespace {

template <class Element>
Element as_element(float value) {
  if constexpr (std::is_same_v<Element, float>)
    return value;
  else
    return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(value) + 0x8000u) >> 16);
}

/// A prime: whatever is a row of a tensor, rows differ.
constexpr std::int64_t period = 1000003;

const std::vector<float>& random_values() {
  static const std::vector<float> values = [] {
    std::vector<float> made(static_cast<std::size_t>(period));
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    for (float& value : made) value = uniform(random);
    return made;
  }();
  return values;
}

}  // namespace

void* Inputs::allocate(std::size_t bytes) {
  memory_.emplace_back(stream_.device(), bytes);
  return memory_.back().data();
}

template <class Element>
Element* Inputs::random(std::int64_t count, float radius, float center) {
  std::vector<Element> values(static_cast<std::size_t>(std::min(count, period)));
  std::transform(
      random_values().begin(), random_values().begin() + static_cast<std::ptrdiff_t>(values.size()),
      values.begin(), [=](float value) { return as_element<Element>(center + radius * value); });
  auto* const data = zeros<Element>(count);
  const Device device = stream_.device();
  const auto bytes = [](std::int64_t elements) {
    return static_cast<std::size_t>(elements) * sizeof(Element);
  };
  std::int64_t done = std::min(count, period);
  copy_memory(stream_, data, device, values.data(), {}, bytes(done));
  while (done < count) {  // twice as many each time
    const std::int64_t more = std::min(done, count - done);
    copy_memory(stream_, data + done, device, data, device, bytes(more));
    done += more;
  }
  return data;
}

template float* Inputs::random(std::int64_t count, float radius, float center);
template std::uint16_t* Inputs::random(std::int64_t count, float radius, float center);

}  // namespace pixeldp::bench
