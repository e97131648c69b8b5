#!/usr/bin/env bash
# Runs every fuzzer for a bounded time. An input that breaks a reader is put into regressions/,
# where the ordinary tests replay it from then on. PIXELDP_FUZZ_SEED makes two runs start alike.
#
#   cmake --preset fuzz && cmake --build --preset fuzz && tests/fuzz/run.sh SECONDS [NAME...]
set -euo pipefail
seconds=${1:?usage: run.sh SECONDS [NAME...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
programs=$here/../../build/fuzz/tests/fuzz

names=("$@")
if [ ${#names[@]} = 0 ]; then
  for program in "$programs"/fuzz_*; do names+=("$(basename "$program" | sed s/^fuzz_//)"); done
fi
status=0
for name in "${names[@]}"; do
  [ -x "$programs/fuzz_$name" ] || { echo "error: fuzz_$name is not built in $programs" >&2; exit 2; }
  found=$programs/found/$name  # grows from run to run, outside the source tree
  mkdir -p "$found" "$here/regressions/$name"
  echo "fuzz_$name: $seconds s"
  "$programs/fuzz_$name" "$found" "$here/corpus/$name" "$here/regressions/$name" \
    -seed="${PIXELDP_FUZZ_SEED:-0}" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$here/regressions/$name/" 2>"$programs/$name.log" || {
    status=1
    echo "error: fuzz_$name failed, see $programs/$name.log; its input is in $here/regressions/$name" >&2
  }
  grep -E "^stat::(number_of_executed_units|peak_rss_mb)|SUMMARY" "$programs/$name.log" || true
done
exit $status
