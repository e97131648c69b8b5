#include "tests/ptx/noisy_convolution_on_device.cu"  // as C++, for the emulator
