#!/usr/bin/env bash
# What shared folders, clocks and kills do to certifications that several processes share: each time a clear error, or
# the very bytes of one process. ctest runs the folders and clocks; by hand, 200 runs of four array tasks of which a
# random one is killed at a random time, and jobs of ranks that lose one, come first.
#
#   tests/cluster/faults.sh [BUILD [ROUNDS]]
set -euo pipefail
# A mount of its own needs a namespace of its own, which ends with this script.
if [ -z "${FAULTS_ALONE:-}" ]; then
  if ! unshare --mount --map-root-user true 2> /dev/null; then echo "skipped: no name spaces here" >&2; exit 77; fi
  FAULTS_ALONE=1 exec unshare --mount --map-root-user "$0" "$@"
fi
cd "$(dirname "$0")/../.."
source=$PWD build=$(realpath "${1:-build}") rounds=${2:-200}
program=$build/pixeldp

if [ "$rounds" -gt 0 ]; then
  PIXELDP_KILLS=$rounds "$build/tests/test_cli" --success=false \
    -tc='tasks of an array that are killed at random moments*,ranks that are interrupted*'
fi

for command in python3 cc; do
  command -v $command > /dev/null || { echo "skipped: no $command" >&2; exit 77; }
done
folder=$(mktemp -d)
clean() { umount "$folder/small" 2> /dev/null || true; rm -rf "$folder"; }
trap clean EXIT
cc -O1 -shared -fPIC -o "$folder/shared_folder.so" "$source/tests/cluster/shared_folder.c" -ldl
cd "$folder"
mkdir small
export OMP_NUM_THREADS=1
"$source/tests/cluster/made_run.py" . 64
"$program" train made.yaml --output run > train.txt 2>&1
certify=("$program" certify run --data . --draws 100 --resume)
"${certify[@]}" --output whole > /dev/null

die() { echo "error: $*" >&2; exit 1; }
passed() { cmp "$1" whole || die "$2: not the log of one process"; echo "$2"; }
# refused TEXT COMMAND...: it ends with status 1 and says so.
refused() {
  local text=$1 status=0
  shift
  "$@" > refused.txt 2>&1 || status=$?
  [ $status = 1 ] || { cat refused.txt >&2; die "status $status, not 1, of: $*"; }
  grep -qF -- "$text" refused.txt || { cat refused.txt >&2; die "nothing of '$text' by: $*"; }
}
no_parts() { ! ls "$1".part-* > /dev/null 2>&1 || die "parts of $1 are left"; }
resize() { mount -o remount,size="$1" small; }

# --- A folder that is full, in the midst of a part, and when parts become one log ------------------------------------
mount -t tmpfs -o size=256k tmpfs small
filler() { rm -f small/filler; head -c "$(($(stat -f -c '%a * %S' small) - $1))" /dev/zero > small/filler; }
filler 12288
refused "small/log.part-0: cannot write to the certificate log; is the disk full?" \
  "${certify[@]}" --output small/log --shard 0/2
lines=$(wc -l < small/log.part-0)
[ "$lines" -gt 1 ] || die "nothing of the part was kept"
rm small/filler
for shard in 0 1; do "${certify[@]}" --output small/log --shard $shard/2 > part.json --json; done
grep -q "\"new_draws\": *$((32 * 100))" part.json || die "shard 1 made other draws than its own"
filler 4096
cp small/log.part-0 small/log.part-1 .
refused "small/log" "${certify[@]}" --output small/log
for part in 0 1; do cmp log.part-$part small/log.part-$part || die "a full folder changed part $part"; done
rm small/filler
"${certify[@]}" --output small/log > /dev/null
no_parts small/log
passed small/log "a full folder: said, nothing lost, and gone on from when there was room"
rm small/* log.part-*

# --- A folder that is read-only, before and between ------------------------------------------------------------------
for shard in 0 1; do "${certify[@]}" --output small/log --shard $shard/2 > /dev/null; done
mount -o remount,ro small
refused "small/other.part-0: cannot open it for writing: Read-only file system" \
  "${certify[@]}" --output small/other --shard 0/2
refused "Read-only file system" "${certify[@]}" --output small/log
refused "Read-only file system" "${certify[@]}" --output small/log --shard 1/2
"$program" merge small/log.part-0 small/log.part-1 --output merged > /dev/null
passed merged "a read-only folder: said, and its parts can be merged elsewhere"
printf 'name: s\nconfigurations: [made.yaml]\n' > sweep.yaml
refused "Read-only file system" "$program" sweep sweep.yaml --output small/sweep
mount -o remount,rw small
"${certify[@]}" --output small/log > /dev/null
passed small/log "writable again: the parts as they were"
umount small

# --- A slow folder that takes bytes in pieces, clocks that disagree, and a kill --------------------------------------
export LD_PRELOAD=$folder/shared_folder.so
shard() { FAULT_DELAY=$2 FAULT_CLOCK=$3 "${certify[@]}" --output log --shard "$1/4" > /dev/null; }
shard 0 20 86400 & first=$!
shard 1 5 -86400 & second=$!
shard 2 0 -2000000000 & third=$!
FAULT_DELAY=50 FAULT_CLOCK=7200 "${certify[@]}" --output log --shard 3/4 > /dev/null & fourth=$!
for ((i = 0; i < 600; ++i)); do
  if [ -e log.part-3 ] && [ "$(wc -l < log.part-3)" -ge 3 ]; then break; fi
  sleep 0.1
done
kill -KILL $fourth
wait $first && wait $second && wait $third
{ wait $fourth; } 2> /dev/null && die "the fourth task was not killed in time"
shard 3 10 -3600
touch -d '2100-01-01' log.part-0
touch -d '1980-01-01' log.part-1
FAULT_DELAY=10 FAULT_CLOCK=-500000000 "${certify[@]}" --output log > /dev/null
unset LD_PRELOAD
no_parts log
passed log "a slow folder, writes in pieces, clocks years apart, and a kill"

# --- Parts of an array of another size, and of another run -----------------------------------------------------------
rm log
"${certify[@]}" --output log --shard 1/4 > /dev/null
for shard in 0 1 2; do "${certify[@]}" --output log --shard $shard/3 > /dev/null; done
"${certify[@]}" --output log > /dev/null
passed log "an array of three goes on where one of four was"
rm log
"$program" train made.yaml --output other --set training.seed=5 > /dev/null 2>&1
"$program" certify other --data . --draws 100 --output log --shard 0/2 > /dev/null
refused "log.part-0" "${certify[@]}" --output log --shard 0/2
refused "model_sha256" "${certify[@]}" --output log
[ ! -e log ] || die "a refused merge left a log"
rm log.part-0
echo "parts of another run: named"

# --- Two sweeps of one name and other settings, at once --------------------------------------------------------------
for steps in 12 13; do
  printf 'name: s\nconfigurations: [made.yaml]\nsettings:\n  - {key: training.steps, values: [%s]}\n' $steps
  printf '  - {key: training.seed, values: [1, 2]}\ncertify: [{option: draws, values: [100]}]\n'
done | split -l 6 - sweep.
sweep() { "$program" sweep "$1" --output sweep > "$1.txt" 2>&1; }
mv sweep.aa a.yaml; mv sweep.ab b.yaml
sweep a.yaml & first=$!
sweep b.yaml & second=$!
failed=0
wait $first || failed=$((failed + 1))
wait $second || failed=$((failed + 1))
# Whoever came last may have found everything done, or in the other's hands.
if [ $failed = 0 ] && sweep a.yaml && sweep b.yaml; then die "two sweeps with other settings share a folder"; fi
grep -qh "made with other settings" a.yaml.txt b.yaml.txt || { cat a.yaml.txt b.yaml.txt; die "nobody says why"; }
echo "two sweeps of other settings on one folder: said"
