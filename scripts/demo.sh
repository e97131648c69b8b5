#!/usr/bin/env bash
# From nothing to a page of certificates in a few minutes: trains a small network with noise on
# Fashion-MNIST, certifies a thousand test images and writes the report. Interrupt it at any time;
# the next call goes on where it stopped.
#
#   scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

config=configs/fashion-mnist/demo.yaml
folder=runs/demo/fashion-mnist
page=runs/demo/report.html

scripts/install.sh --demo
cmake --preset default
cmake --build --preset default --target pixeldp
pixeldp=build/pixeldp

# --resume starts what has not begun yet, continues what was interrupted and keeps what is done.
"$pixeldp" train "$config" --output "$folder" --resume
"$pixeldp" certify "$folder" --images 0:1000 --draws 300 --resume
"$pixeldp" report "$folder" --output "$page"
echo "open $PWD/$page in a browser"
