#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests. Stops at the first kind of failure.
#
#   scripts/test.sh [--all]
#     --all                 also under sanitizers, and fuzzes every reader
#     PIXELDP_FUZZ_SECONDS  seconds per fuzzer (default 5)
set -euo pipefail
cd "$(dirname "$0")/.."
case "$*" in "" | --all) ;; *) echo "usage: test.sh [--all]" >&2; exit 2 ;; esac

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

# build PRESET [OPTION...]
build() {
  cmake --preset "$@"
  cmake --build --preset "$1"
}

# Other versions of the formatter format otherwise.
format() {
  if ! clang-format --version | grep -q 'version 14\.'; then
    echo "skipped: the sources are formatted by clang-format 14, here is $(clang-format --version)"
    return
  fi
  find engine kernels layers pixeldp trainers cli bench tests -name '*.[ch]pp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' |
    xargs clang-format --dry-run --Werror
}

fuzz() {
  build fuzz
  # The same start for everybody; searches with other seeds are longer, and made by hand.
  PIXELDP_FUZZ_SEED=${PIXELDP_FUZZ_SEED:-1} tests/fuzz/run.sh "${PIXELDP_FUZZ_SECONDS:-5}"
}

# Warnings are errors for the compiler that they were all looked at with; others raise other false alarms.
werror() {
  [ "$(c++ -dumpversion 2>/dev/null | cut -d. -f1)" = 12 ] && echo ON || echo OFF
}

run "install" scripts/install.sh --test
run "format" format
run "build" build default -DPIXELDP_WERROR="$(werror)"
run "test" ctest --preset default
[ "$*" = --all ] || exit 0
run "build with sanitizers" build sanitize  # where GCC warns of what is not so
run "test with sanitizers" ctest --preset sanitize
run "fuzz" fuzz
