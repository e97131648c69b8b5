#!/usr/bin/env bash
# run.sh [PROGRAM [FOLDER [CUDNN]]]: runs the CUDA kernels as nvcc compiled them, on a GPU where there is
# one, else in the interpreter of PTX (tests/ptx/interpreter). FOLDER holds its libptxrun_cudart.so and
# libptxrun_cublas.so, which take the places of the CUDA runtime and of cuBLAS, as CUDNN takes that of
# cuDNN; PTXRUN=FOLDER asks for it beside a GPU, too. Without a program, or with neither, exits with 77
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

gpu() { compgen -G "/dev/nvidia[0-9]*" > /dev/null; }
interpreter=${PTXRUN:-$(gpu || echo "${2:-}")}
if [[ -n $interpreter ]]; then
  preload=${3:-}
  for name in cublas cudart; do
    library=$interpreter/libptxrun_$name.so
    [[ -e $library ]] || { echo "error: $interpreter: no libptxrun_$name.so there" >&2; exit 1; }
    preload+=${preload:+:}$library
  done
  for arch in 80 90; do
    for schedule in "" 1 2 3; do
      echo "PTX of sm_$arch, ${schedule:+random schedule $schedule, looking for races}"
      PTXRUN_ARCH=$arch PTXRUN_RACE=${schedule:+2} PTXRUN_SHUFFLE=$schedule PTXRUN_LEAKS=1 \
        LD_PRELOAD=$preload "$program"
    done
  done
elif gpu; then
  "$program"
else
  echo "skipped: no GPU and no interpreter of PTX"
  exit 77
fi
