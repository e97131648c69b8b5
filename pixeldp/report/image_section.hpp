#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pixeldp/report/run.hpp"

namespace pixeldp::report {

/// Of each run with noise one image: its picture, its scores and how far an attack can move them.
/// `image` chooses it; without it, the one of median radius among those that are right and
/// certified. Empty where there is none. Throws a usage error when no run holds the image.
std::string image_section(const std::vector<Run>& runs, std::optional<std::int64_t> image);

}  // namespace pixeldp::report
