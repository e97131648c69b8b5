#pragma once

#include "engine/communicator.hpp"

namespace pixeldp {

/// What libpixeldp_mpi.so offers under the name below: starts MPI and returns the communicator of
/// all its ranks, whose end ends MPI. It is a library of its own so that the program starts where
/// there is no MPI. Errors of MPI end all ranks, with its own words.
using MakeMpiCommunicator = Communicator*();
inline constexpr const char* make_mpi_communicator_name = "pixeldp_make_mpi_communicator";

}  // namespace pixeldp
