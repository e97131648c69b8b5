#!/usr/bin/env bash
# What keeps kernels readable, and fit for both compilers: kernels/cuda/device.cuh says why.
set -euo pipefail
cd "${1:?usage: check_kernels.sh SOURCE_DIR}"
status=0

# forbid WHAT PATTERN [grep options and paths]. The interpreter of PTX is no kernel, and has tests of its own.
forbid() {
  local what=$1 pattern=$2
  shift 2
  if grep -rnE "$pattern" --exclude-dir=interpreter --include=*.cu --include=*.cuh --include=*.hpp --include=*.cpp "$@"; then
    echo "error: $what" >&2
    status=1
  fi
}

folders=(engine kernels layers pixeldp trainers cli bench tests)
cuda=(kernels/cuda tests/emulator tests/ptx)
forbid 'kernels are launched by launch(), not by <<< >>>' '<<<' "${folders[@]}"
forbid 'assembly belongs in kernels/cuda/ptx/' '\basm\b' --exclude-dir=ptx --exclude=fiber.cpp "${folders[@]}"
forbid 'shared memory is one struct, by shared_storage()' '__shared__' --exclude=device.cuh "${folders[@]}"
forbid "kernels/cuda/device.cuh is the only header of the language, but for the driver's types" \
  '#include .*(cuda[a-z_0-9]*\.h|cooperative_groups|kernels/emulator/(dialect|intrinsics|matrix|block|emulator)\.hpp)' \
  --exclude=device.cuh --exclude=tensor_map.cu "${cuda[@]}"
forbid 'kernels know no tensors' '#include "engine/tensor\.hpp"' kernels
exit $status
