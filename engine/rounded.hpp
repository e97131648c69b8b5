#pragma once

#include <string>

namespace pixeldp {

/// At most so many significant digits, 2 to 15, towards zero (down) or away from it: what is
/// printed never claims more than the value does. For values from 0 to 1e15; among denormal numbers
/// one digit says more than they hold, so that these go down to 0 or up to the smallest other
/// number.
std::string rounded(double value, bool down, int digits = 6);

}  // namespace pixeldp
