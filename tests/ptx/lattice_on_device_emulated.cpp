#include "tests/ptx/lattice_on_device.cu"  // as C++, for the emulator
