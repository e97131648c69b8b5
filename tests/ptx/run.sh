#!/usr/bin/env bash
# Runs the CUDA kernels as nvcc compiled them: on a GPU where there is one, else in an interpreter of
# PTX. PTXRUN names the build folder of such an interpreter, with libptxrun_cudart.so and
# libptxrun_cublas.so in it, which take the places of the CUDA runtime and of cuBLAS; a second
# argument is what takes the place of cuDNN there. Without an argument, or with neither, exits with 77
# (skipped).
set -euo pipefail
program=${1:-}
if [[ -z $program ]]; then
  echo "skipped: nothing in this build was compiled by nvcc"
  exit 77
fi

# What can be told from the PTX in the program alone: wide accesses stayed wide, and nothing lives in
# local memory.
count() { grep -aoE "$1" "$program" | wc -l; }
loads=$(count 'ld\.global\.nc\.v4\.f32') stores=$(count 'st\.global\.wb\.v4\.f32')
echo "PTX: $loads loads and $stores stores of 16 bytes, $(count 'mma\.sync\.') mma.sync," \
  "$(count 'ldmatrix\.sync\.') ldmatrix, $(count 'cp\.async\.c[ag]\.') cp.async," \
  "$(count 'wgmma\.mma_async\.') wgmma, $(count 'cp\.async\.bulk\.tensor\.') copies of boxes"
if ((loads != stores || stores == 0 || $(count '(ld|st)\.local') > 0)); then
  echo "error: accesses of 16 bytes were taken apart, or variables lie in local memory" >&2
  exit 1
fi

if [[ -n ${PTXRUN:-} ]]; then
  preload=${2:-}
  for name in cublas cudart; do
    library=$PTXRUN/libptxrun_$name.so
    [[ -e $library ]] || { echo "error: PTXRUN=$PTXRUN: no libptxrun_$name.so there" >&2; exit 1; }
    preload+=${preload:+:}$library
  done
  for arch in 80 90; do
    for schedule in "" 1 2 3; do
      echo "PTX of sm_$arch, ${schedule:+random schedule $schedule, looking for races}"
      PTXRUN_ARCH=$arch PTXRUN_RACE=${schedule:+2} PTXRUN_SHUFFLE=$schedule PTXRUN_LEAKS=1 \
        LD_PRELOAD=$preload "$program"
    done
  done
elif compgen -G "/dev/nvidia[0-9]*" > /dev/null; then
  "$program"
else
  echo "skipped: no GPU, and PTXRUN does not name the build folder of a PTX interpreter"
  exit 77
fi
