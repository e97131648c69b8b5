#pragma once

#include <istream>
#include <ostream>

namespace pixeldp::bench {

/// Draws on demand, for bench/peers.py: says what it is, and then answers lines of JSON, one each:
///
///   {"prepare": {"architecture": A, "depth": D, "widening": W, "precision": P}} -> {"case":
///   number}
///   {"run": number of a case, "draws": N} -> {"seconds", "processor_seconds": of each draw}
///   {"memory": true} -> {"bytes": the most that the process has had}
///
/// and anything that fails with {"error": text}. Depth and widening are 0 where a network has none.
void serve(std::istream& orders, std::ostream& answers);

}  // namespace pixeldp::bench
