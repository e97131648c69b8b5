#include "tests/ptx/on_device.cu"  // as C++, for the emulator
