#!/usr/bin/env bash
# The program itself with --device cuda: trains a step or two and certifies a few images as the
# processor does, on a GPU where there is one, else in an interpreter of PTX (PTXRUN, see run.sh).
# Its argument is the test program that does so. Without one, or with neither, exits with 77 (skipped).
set -euo pipefail
program=${1:-}
if [[ -z $program ]]; then
  echo "skipped: nothing in this build was compiled by nvcc"
  exit 77
fi
cases='every device*'
if [[ -n ${PTXRUN:-} ]]; then
  # The child processes inherit these.
  export LD_PRELOAD=$PTXRUN/libptxrun_cublas.so:$PTXRUN/libptxrun_cudart.so
  PTXRUN_ARCH=80 "$program" -tc="$cases"
  PTXRUN_ARCH=90 PTXRUN_RACE=2 PTXRUN_SHUFFLE=1 "$program" -tc="$cases"
elif compgen -G "/dev/nvidia[0-9]*" > /dev/null; then
  "$program" -tc="$cases"
else
  echo "skipped: no GPU, and PTXRUN does not name the build folder of a PTX interpreter"
  exit 77
fi
