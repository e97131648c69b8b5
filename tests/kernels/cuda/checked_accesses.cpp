#include "kernels/emulator/settings.hpp"

namespace pixeldp::emulator {
namespace {

/// Whatever test runs a kernel looks for races and for accesses beside arrays as well.
[[maybe_unused]] const bool checked = [] {
  Settings changed = settings();
  changed.check_accesses = true;
  set_settings(changed);
  return true;
}();

}  // namespace
}  // namespace pixeldp::emulator
