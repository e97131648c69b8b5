#!/usr/bin/env bash
# Makes the bundle and uses it in an empty root directory.
set -euo pipefail
cd "${1:?usage: bundle_test.sh SOURCE_DIR}"
. tests/empty_root.sh

XZ_OPT=-0 scripts/bundle.sh "$place/bundle.tar.xz"
tar -C "$root" -xJf "$place/bundle.tar.xz"
mv "$root"/pixeldp-* "$root/opt"

in_root /opt/bin/pixeldp --version
in_root /opt/bin/pixeldp info
[ "$(in_root /opt/bin/pixeldp radius --counts 480,15,5 --sigma 0.25 --json | grep -c radius)" = 1 ]
in_root /opt/bin/bench noise --repetitions 1 >"$place/noise"
grep -q AVX2 "$place/noise"
in_root /opt/bin/bench device --device emulated --samples 3 training >"$place/device"
grep -q "MNIST CNN, bf16, training step" "$place/device"
in_root /opt/bin/test_cli -tc="every device trains the steps*"
