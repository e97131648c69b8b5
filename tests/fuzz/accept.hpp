#pragma once

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp::fuzz {

/// Runs a reader, which may take its input or throw an Error and nothing else.
template <typename Run>
void accept(Run run) {
  try {
    run();
  } catch (const Error&) {
  }
}

/// For properties of what a reader has taken: a false one must not pass for a refusal.
inline void require(bool property) {
  if (!property) __builtin_trap();
}

}  // namespace pixeldp::fuzz
