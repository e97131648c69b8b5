#pragma once

#include <cstdlib>
#include <filesystem>

#include "tests/cli/program.hpp"

namespace pixeldp::tests {

/// Whether ranks can be started here.
inline bool can_launch() {
  const bool library = std::filesystem::exists(std::filesystem::path(program_path()).parent_path() /
                                               "libpixeldp_mpi.so");
  const bool launcher = std::system("command -v mpirun > /dev/null 2>&1") == 0;
  if (!library) MESSAGE("skipped: the program was built without MPI (libopenmpi-dev)");
  if (library && !launcher) MESSAGE("skipped: there is no mpirun (openmpi-bin)");
  return library && launcher;
}

}  // namespace pixeldp::tests
