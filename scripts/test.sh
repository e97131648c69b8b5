#!/usr/bin/env bash
# Installs what is missing, builds, and runs all checks. Stops at the first kind of failure.
#
#   scripts/test.sh
#     PIXELDP_FUZZ_SECONDS  seconds per fuzzer (default 5; 0: none)
set -euo pipefail
cd "$(dirname "$0")/.."

stage=
finish() {
  status=$?
  if [ $status = 0 ]; then
    echo "== all checks passed in $SECONDS s"
  else
    echo "== FAILED: ${stage:-start}, after $SECONDS s" >&2
  fi
}
trap finish EXIT

# run NAME COMMAND...: one stage with its time.
run() {
  stage=$1
  shift
  local begin=$SECONDS
  echo "== $stage"
  "$@"
  echo "== $stage: $((SECONDS - begin)) s"
}

build() {
  cmake --preset "$1"
  cmake --build --preset "$1"
}

format() {
  git -c safe.directory="$PWD" ls-files -z -- '*.hpp' '*.cpp' '*.cu' '*.cuh' | xargs -0 -r clang-format --dry-run --Werror
}

fuzz() {
  build fuzz
  # The same start for everybody; searches with other seeds are longer, and made by hand.
  PIXELDP_FUZZ_SEED=${PIXELDP_FUZZ_SEED:-1} tests/fuzz/run.sh "$1"
}

run "install" scripts/install.sh --test
run "format" format
run "build" build default
run "test" ctest --preset default
run "build with sanitizers" build sanitize
run "test with sanitizers" ctest --preset sanitize
if [ -x tests/fuzz/run.sh ] && [ "${PIXELDP_FUZZ_SECONDS:-5}" != 0 ]; then
  run "fuzz" fuzz "${PIXELDP_FUZZ_SECONDS:-5}"
fi
