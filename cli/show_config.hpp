#pragma once

#include <optional>
#include <string>

#include "engine/config.hpp"

namespace pixeldp::cli {

/// Every key of a training configuration with type, range, default and meaning, section by section,
/// and with the values in force of a configuration that has been read, if one is given.
std::string describe_settings(const std::optional<ConfigNode>& config);
/// The same as one JSON object.
std::string describe_settings_json(const std::optional<ConfigNode>& config);

}  // namespace pixeldp::cli
