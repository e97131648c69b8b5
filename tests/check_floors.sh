#!/usr/bin/env bash
# A file includes only what lies on its own floor or below.
set -euo pipefail
cd "${1:?usage: check_floors.sh SOURCE_DIR}"

floors=(engine kernels layers pixeldp trainers cli)
status=0
for i in "${!floors[@]}"; do
  for above in "${floors[@]:i+1}"; do
    if grep -rnE "^#include \"$above/" "${floors[i]}"; then
      echo "error: ${floors[i]}/ must not include $above/, which lies on a higher floor" >&2
      status=1
    fi
  done
done
exit $status
