#pragma once

namespace pixeldp {

/// Limits the threads of parallel regions to the processors that this process may use, with a
/// warning where more were asked for: they would only wait for each other.
void cap_threads();

}  // namespace pixeldp
