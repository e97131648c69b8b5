#include "tests/ptx/convolution_on_device.cu"  // as C++, for the emulator
