#pragma once

#include <cstdint>
#include <string>

namespace pixeldp::bench {

/// In Markdown: what A100, RTX 4090 and H100 let the convolutions of WRN-28-10, in bf16 and in
/// int8, and their gradients reach at the most, by kernels::ConvTime with the tile that the plan
/// chooses, for so many rows (draws, or images of a training step) at a time. Computed from data
/// sheets and machine code, not measured; docs/roofline.md is the table of the default.
std::string roofline(std::int64_t rows);

inline constexpr std::int64_t roofline_rows = 512;

}  // namespace pixeldp::bench
