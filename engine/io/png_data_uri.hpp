#pragma once

#include <string>

#include "engine/io/image.hpp"

namespace pixeldp {

/// A picture as the contents of a PNG file. Throws an Error for other than 1 or 3 channels, and
/// where the pixels do not fit the size.
Bytes encode_png(const Image& image);

/// A picture as a "data:" address that holds it, PNG in base64: a page shows it without another
/// file. Throws the Error of encode_png.
std::string png_data_uri(const Image& image);

}  // namespace pixeldp
