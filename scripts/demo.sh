#!/usr/bin/env bash
# From nothing to a page of certificates in a few minutes: trains a small network on Fashion-MNIST without noise
# and with noise for two attack sizes, certifies a thousand test images of each and writes the report. Interrupt it
# at any time; the next call goes on where it stopped.
#
#   scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install.sh --demo
if [ ! -f build/CMakeCache.txt ]; then
  # Kernels for GPUs, the emulator and the tests take longer to build than all the rest.
  preset=processor
  if command -v nvcc >/dev/null && compgen -G '/dev/nvidia[0-9]*' >/dev/null; then preset=default; fi
  cmake --preset $preset
fi
cmake --build build --target pixeldp
pixeldp=build/pixeldp
device=cpu
"$pixeldp" info --json | grep -q '"gpus":\[\]' || device=cuda
echo "device: $device"

runs=()
for name in baseline l0.1 l0.3; do
  run=runs/demo/$name
  runs+=("$run")
  "$pixeldp" train "configs/fashion-mnist/$name.yaml" --output "$run" --device $device --resume
  "$pixeldp" certify "$run" --images 0:1000 --draws 300 --device $device --resume
done

page=runs/demo/report.html
"$pixeldp" report "${runs[@]}" --output "$page"
echo "open $PWD/$page in a browser"
