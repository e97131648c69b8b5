#pragma once

#include "kernels/pooling.hpp"

namespace pixeldp::kernels {

/// Pixels are dealt to this many lanes (see global_average_pool).
inline constexpr int pool_lanes = 8;

// Each throws the Error that the operation promises on every device.
void check_global_pool_shape(const GlobalPoolShape& shape);
void check_shortcut_shape(const ShortcutShape& shape);
void check_add_arguments(std::int64_t size);

}  // namespace pixeldp::kernels
