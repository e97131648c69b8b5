#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pixeldp/certification.hpp"

namespace pixeldp::cli {

/// The option --images: A:B:STEP within a data set of `size` images, image numbers from A up to but
/// not including B. Every part may be left out, and a step of 1 with its colon; the empty text is
/// all images. Throws a usage error for anything else.
ImageRange parse_image_range(const std::string& text, std::int64_t size);

/// The numbers of these images of a data set, of those that are wanted. Throws a usage error for
/// images that it has not.
std::vector<std::int64_t> chosen_images(const std::string& text, const Dataset& dataset,
                                        const std::function<bool(std::int64_t image)>& wanted);

}  // namespace pixeldp::cli
