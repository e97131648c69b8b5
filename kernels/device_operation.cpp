#include "kernels/device_operation.hpp"

#include "kernels/grouped_convolution.hpp"
#include "kernels/pointwise.hpp"
#include "kernels/rearrangement.hpp"
#include "kernels/row_products.hpp"

namespace pixeldp::kernels {
namespace {

DeviceOperation selection(const SelectionMap& map) {
  DeviceOperation made{SelectionRow{.in_pixels = map.in_pixels,
                                    .in_channels = map.in_channels,
                                    .pixels = std::ssize(map.pixels),
                                    .channels = std::ssize(map.channels),
                                    .fill = map.fill}};
  made.places = map.pixels;
  made.places.insert(made.places.end(), map.channels.begin(), map.channels.end());
  return made;
}

DeviceOperation grouped(GroupedSpan span) {
  DeviceOperation made{span};
  const std::int64_t taps = span.kernel_h * span.kernel_w;
  made.weight.assign(span.weight, span.weight + span.out_c * (span.in_c / span.groups) * taps);
  if (span.shift) made.shift.assign(span.shift, span.shift + span.out_c);
  span.weight = span.shift = nullptr;
  made.row = span;
  return made;
}

}  // namespace

std::optional<DeviceOperation> device_operation(const RowOperation& operation) {
  if (const auto* of = dynamic_cast<const Pointwise*>(&operation))
    return DeviceOperation{PointwiseRow{of->function(), of->output_size()}};
  if (const auto* of = dynamic_cast<const Selection*>(&operation)) return selection(of->map());
  if (const auto* of = dynamic_cast<const Concatenation*>(&operation))
    return DeviceOperation{ConcatenationRow{of->pixels(), of->channels()}};
  if (const auto* of = dynamic_cast<const Multiplication*>(&operation))
    return DeviceOperation{MultiplicationRow{of->pixels(), of->channels()}};
  if (const auto* of = dynamic_cast<const WindowPool*>(&operation))
    return DeviceOperation{of->shape()};
  if (const auto* of = dynamic_cast<const GroupedConvolution*>(&operation))
    return grouped(of->span());
  return std::nullopt;
}

}  // namespace pixeldp::kernels
