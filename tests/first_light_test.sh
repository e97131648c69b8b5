#!/usr/bin/env bash
# Packs what travels to a GPU machine and takes every step on the device `emulated`, with the smallest shapes, in an
# empty root directory that has a shell and its tools besides. Exits with 77 (skipped) without MNIST.
set -euo pipefail
cd "${1:?usage: first_light_test.sh SOURCE_DIR}"
[ -x build/tests/test_ptx ] || { echo "skipped: nothing in this build was compiled by nvcc"; exit 77; }
[ -d "${PIXELDP_DATA:-data}/mnist" ] || { echo "skipped: PIXELDP_DATA names no folder with mnist/"; exit 77; }
. tests/empty_root.sh
give_to_root bash cat cut grep head mkdir mv rm sed sleep tail timeout

FIRST_LIGHT_STEPS=2 XZ_OPT=-0 scripts/first_light.sh pack "$place/packed.tar.xz"
tar -C "$root" -xJf "$place/packed.tar.xz"
run() { in_root /bin/bash /pixeldp-first-light/first_light.sh run /tmp/out --device emulated --quick "$@"; }

# Nothing is started without time for it, and a second run takes what the first left.
run --seconds 1 | tee "$place/first"
grep -q '15 steps had no time' "$place/first"
run --seconds 400 | tee "$place/second"
declare -A how
while read -r name result _; do how[${name:-none}]=$result; done <"$place/second"
for name in info ceilings parity-program collectives certify certify-processor certify-emulated networks convolutions kernels; do
  [ "${how[$name]:-}" = passed ] || {
    echo "error: step $name: ${how[$name]:-is missing}" >&2
    cat "$root/tmp/out/$name.log" >&2
    exit 1
  }
done
for name in parity-kernels memcheck racecheck pytorch profile; do
  [ "${how[$name]:-}" = absent ] || { echo "error: step $name: ${how[$name]:-is missing}" >&2; exit 1; }
done
for name in ceilings networks convolutions kernels; do [ -s "$root/tmp/out/$name.json" ]; done

# What another device or the smallest shapes gave does not pass for the real thing.
status=0
in_root /bin/bash /pixeldp-first-light/first_light.sh run /tmp/out 2>"$place/other" || status=$?
[ $status = 1 ] && grep -q 'another run' "$place/other"
status=0
in_root /bin/bash /pixeldp-first-light/first_light.sh run /tmp/new --seconds 1.5 2>/dev/null || status=$?
[ $status = 2 ] && [ ! -e "$root/tmp/new" ]

# A step that fails is said, and the others go on.
mv "$root/pixeldp-first-light/model" "$root/pixeldp-first-light/gone"
rm "$root"/tmp/out/certify*.status
run | tee "$place/third" || true
grep -q '^certify  *failed' "$place/third"
grep -q '^kernels  *passed' "$place/third"
