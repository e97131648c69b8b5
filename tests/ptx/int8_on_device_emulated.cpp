#include "tests/ptx/int8_on_device.cu"  // as C++, for the emulator
