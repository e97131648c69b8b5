#pragma once

#include "kernels/emulator/settings.hpp"

namespace pixeldp::kernels::emulated {

/// Those of now, on an H100, under this schedule, with loads and stores checked or not.
inline Settings sm_90_with(const Schedule& schedule, bool checks) {
  Settings changed = settings();
  changed.arch = sm_90;
  changed.schedule = schedule;
  changed.check_accesses = checks;
  return changed;
}

}  // namespace pixeldp::kernels::emulated
