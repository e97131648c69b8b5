#!/usr/bin/env bash
# Ends certify, train and tasks of an array by 200 signals at random moments each: going on must give the very bytes
# that an undisturbed program leaves. ctest does the same with a few of them.
#
#   tests/kill_test.sh [BUILD [TIMES]]
set -euo pipefail
cd "$(dirname "$0")/.."
PIXELDP_KILLS=${2:-200} "${1:-build}/tests/test_cli" -tc='*at random moments*' --success=false
