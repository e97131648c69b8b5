#pragma once

#include <span>

#include "engine/settings.hpp"

namespace pixeldp {

/// Every key of a training configuration, section by section.
std::span<const Setting> training_settings();

}  // namespace pixeldp
