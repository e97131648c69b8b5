#!/usr/bin/env bash
# What stopping saves: certifies images of a run with draws that stop at each radius, and holds them against a fixed
# budget of as many draws as they may have. Prints a row of docs/anytime.md for each radius.
#
#   [IMAGES=:1000] [MOST=100000] [LATE=10] scripts/anytime.sh RUN RADIUS... [-- further arguments of certify]
#
# The fixed budget is made in full only where it could tell another story: images that took all their draws have its
# counts already, and it is drawn for the LATE images that were given up after the most draws.
set -euo pipefail
pixeldp=${PIXELDP:-$(dirname "$0")/../build/pixeldp}
most=${MOST:-100000} alpha=0.001
run=${1:?usage: anytime.sh RUN RADIUS... [-- ARGUMENTS]}
shift
radii=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do radii+=("$1"); shift; done
[ $# -eq 0 ] || shift

for radius in "${radii[@]}"; do
  log=$run/anytime-$radius.jsonl fixed=$run/anytime-$radius-fixed.jsonl
  "$pixeldp" certify "$run" --radius "$radius" --alpha $alpha --draws "$most" --images "${IMAGES:-:1000}" \
    --output "$log" --json "$@" > "$log.json"
  # Those that were given up, from the one that took most draws on.
  late=$(python3 - "$log" "$radius" "$most" "${LATE:-10}" <<'PYTHON'
import json, sys
log, radius, most, late = sys.argv[1], *map(float, sys.argv[2:])
records = [json.loads(line) for line in open(log)][1:]
given_up = sorted((r['draws'], r['image']) for r in records if r['radius'] < radius and r['draws'] < most)
print(*(image for _, image in given_up[::-1][:int(late)]))
PYTHON
)
  for image in $late; do
    "$pixeldp" certify "$run" --bound pairwise --alpha $alpha --draws "$most" --selection-draws 32 \
      --images "$image:$((image + 1))" --output "$fixed" --resume "$@" > /dev/null
  done
  python3 - "$pixeldp" "$log" "$fixed" "$radius" <<'PYTHON'
import json, os, subprocess, sys
pixeldp, log, fixed, radius = *sys.argv[1:4], float(sys.argv[4])
read = lambda path: [json.loads(line) for line in open(path)] if os.path.exists(path) else [{}]
header, *records = read(log)
_, *drawn = read(fixed)
summary = json.load(open(log + '.json'))

def by_fixed_budget(record):
    """The radius that a bound of a fixed number of draws gives an image that took them all."""
    return json.loads(subprocess.run(
        [pixeldp, 'radius', '--json', '--bound', 'pairwise', '--certificate', header['certificate'],
         '--mechanism', header['mechanism'], '--sigma', repr(header['noise_scale']), '--sensitivity',
         repr(header['sensitivity']), '--alpha', repr(header['alpha']), '--selected', str(record['prediction']),
         '--counts', ','.join(map(str, record['votes']))], check=True, capture_output=True).stdout)['radius']

right = lambda r: r['label'] == r['prediction']
proved = sum(right(r) and r['radius'] >= radius for r in records)
more = {r['image'] for r in records if r['draws'] == header['draws'] and right(r)
        and r['radius'] < radius <= by_fixed_budget(r)}
more |= {r['image'] for r in drawn if right(r) and r['radius'] >= radius}
n, all_draws = len(records), header['draws'] + header['selection_draws']
at_most = sum(r['draws'] == header['draws'] for r in records)
print(f"| {os.path.basename(os.path.dirname(log))} | {radius:g} | {summary['mean_draws']:.0f} | {summary['median_draws']} "
      f"| {all_draws / summary['mean_draws']:.0f} | {summary['seconds']:.0f} s | {100 * proved / n:.1f} % "
      f"| {100 * (proved + len(more)) / n:.1f} % | {at_most} + {len(drawn)} of {n} |", flush=True)
PYTHON
done
