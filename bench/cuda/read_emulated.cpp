#include "bench/cuda/read.cu"
