#pragma once

/// Declares functions twice: what nvcc makes of their file is in namespace cuda, what the compiler
/// of the emulator does in namespace emulated (kernels/cuda/device.cuh).
#define PIXELDP_ON_DEVICES(...) \
  namespace cuda {              \
  __VA_ARGS__                   \
  }                             \
  namespace emulated {          \
  __VA_ARGS__                   \
  }
