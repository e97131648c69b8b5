#!/usr/bin/env bash
# run_program.sh [PROGRAM [FOLDER [NCCL]]]: the program itself with --device cuda trains a step or two and certifies
# a few images as the processor does, on a GPU where there is one, else in the interpreter of PTX (see run.sh), with
# the library NCCL in the place of that one.
# PROGRAM is the test program that does so. Without one, or with neither, exits with 77 (skipped).
set -euo pipefail
program=${1:-}
if [[ -z $program ]]; then
  echo "skipped: nothing in this build was compiled by nvcc"
  exit 77
fi
cases='every device*,one rank does all collectives*,ranks whose kernels nvcc compiled*'
gpu() { compgen -G "/dev/nvidia[0-9]*" > /dev/null; }
interpreter=${PTXRUN:-$(gpu || echo "${2:-}")}
if [[ -n $interpreter ]]; then
  # The child processes inherit these.
  export LD_PRELOAD=${3:+$3:}$interpreter/libptxrun_cublas.so:$interpreter/libptxrun_cudart.so
  PTXRUN_ARCH=80 "$program" -tc="$cases"
  PTXRUN_ARCH=90 PTXRUN_RACE=2 PTXRUN_SHUFFLE=1 "$program" -tc="$cases"
elif gpu; then
  "$program" -tc="$cases"
else
  echo "skipped: no GPU and no interpreter of PTX"
  exit 77
fi
