#include "tests/ptx/wgmma_on_device.cu"  // as C++, for the emulator
