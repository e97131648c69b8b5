#!/usr/bin/env bash
# Makes the bundle and uses it in a root directory that holds nothing but glibc, /proc, /dev/null and an empty /tmp. Exits with 77
# (skipped) where that cannot be made: it takes root, or user name spaces.
set -euo pipefail
cd "${1:?usage: bundle_test.sh SOURCE_DIR}"
as_root=(unshare --mount --pid --fork)
[ "$(id -u)" = 0 ] || as_root=(unshare --map-root-user --mount --pid --fork)
"${as_root[@]}" true 2>/dev/null || { echo "skipped: name spaces are not allowed here"; exit 77; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
root=$place/root
mkdir -p "$root"/{proc,tmp,dev,lib64} "$root/lib/x86_64-linux-gnu"
touch "$root/dev/null"
XZ_OPT=-0 scripts/bundle.sh "$place/bundle.tar.xz"
tar -C "$root" -xJf "$place/bundle.tar.xz"
mv "$root"/pixeldp-* "$root/opt"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64"
for name in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1; do
  cp -L "/lib/x86_64-linux-gnu/$name" "$root/lib/x86_64-linux-gnu"
done

# in_root PROGRAM ARGUMENTS...
in_root() {
  "${as_root[@]}" bash -euc 'mount -t proc proc "$1/proc"; mount --bind /dev/null "$1/dev/null"
    exec env -i "$(command -v chroot)" "$@"' bash "$root" "$@"
}

in_root /opt/bin/pixeldp --version
in_root /opt/bin/pixeldp info
[ "$(in_root /opt/bin/pixeldp radius --counts 480,15,5 --sigma 0.25 --json | grep -c radius)" = 1 ]
in_root /opt/bin/bench noise --repetitions 1 >"$place/noise"
grep -q AVX2 "$place/noise"
in_root /opt/bin/bench device --device emulated --samples 3 draws training >"$place/device"
grep -q "MNIST CNN, bf16, training step" "$place/device"
in_root /opt/bin/test_cli -tc="every device*"
