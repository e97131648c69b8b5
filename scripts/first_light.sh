#!/usr/bin/env bash
# Measures and checks the engine on a machine with a GPU where nothing can be installed and time is short.
#
#   scripts/first_light.sh pack [FILE.tar.xz]     (default: build/first-light.tar.xz)
#     makes one archive with the programs, their libraries, MNIST's test images and a small trained model
#     PIXELDP_DATA        holds mnist/ (default: data)
#     FIRST_LIGHT_STEPS   of the model's training (default 300)
#
#   first_light.sh run OUT [--device cuda|cuda:N|emulated] [--seconds N] [--quick]
#     in the unpacked archive: takes the steps below in the order of their value, each with a time limit and a log of
#     its own in OUT, goes on after a failure, and stops after N seconds (default 480). The same command once more
#     takes the steps that are left. Needs a driver; uses compute-sanitizer, ncu and a Python with PyTorch if there are
#     any (PYTHON names the interpreter, default python3).
#     --quick             the smallest shapes, to try the script itself
set -euo pipefail

usage() {
  sed -n '4,15s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

pack() {
  [ $# -le 1 ] || usage
  cd "$(dirname "$0")/.."
  local file data=${PIXELDP_DATA:-data} stage name=pixeldp-first-light
  file=$(realpath -m "${1:-build/first-light.tar.xz}")
  for part in images-idx3 labels-idx1; do
    compgen -G "$data/mnist/t10k-$part-ubyte*" >/dev/null || {
      echo "error: $data/mnist has no t10k-$part-ubyte: PIXELDP_DATA names the folder that holds mnist/" >&2
      exit 1
    }
  done
  stage=$(mktemp -d)
  trap "rm -rf '$stage'" EXIT
  scripts/bundle.sh "$stage/$name/" >/dev/null
  cp scripts/first_light.sh "$stage/$name"
  mkdir -p "$stage/$name/data/mnist"
  cp "$data"/mnist/t10k-* "$stage/$name/data/mnist"
  build/pixeldp train configs/mnist/l0.1.yaml --set "training.steps=${FIRST_LIGHT_STEPS:-300}" \
    --output "$stage/trained" >"$stage/training.log" 2>&1 || { tail "$stage/training.log" >&2; exit 1; }
  mkdir "$stage/$name/model"
  cp "$stage"/trained/{config.yaml,model.safetensors} "$stage/$name/model"
  tar -C "$stage" --owner=0 --group=0 --sort=name -cJf "$file.part" "$name"
  mv "$file.part" "$file"
  echo "$file: $(du -h --apparent-size "$file" | cut -f1)"
}

# step NAME LIMIT_S COMMAND...: OUT/NAME.log and OUT/NAME.status, whose first word tells how it ended:
#   passed, failed, slow (ran past its own limit), cut (no time was left: a second run takes it again), absent.
names=()
step() {
  local name=$1 limit=$2 left=$((seconds - SECONDS)) begin=$SECONDS status=0
  shift 2
  names+=("$name")
  if [ -e "$out/$name.status" ] && ! grep -q '^cut' "$out/$name.status"; then return; fi
  if [ $left -lt 5 ]; then
    echo "cut 0 not started" >"$out/$name.status"
    return
  fi
  echo "== $name (at most $((limit < left ? limit : left)) s)"
  timeout -k 5 $((limit < left ? limit : left)) bash -euo pipefail -c '"$@"' bash "$@" >"$out/$name.log" 2>&1 \
    </dev/null || status=$?
  local how=failed took=$((SECONDS - begin))
  case $status in
    0) how=passed ;;
    77) how=absent ;;
    124 | 137) how=$([ $limit -le $left ] && echo slow || echo cut) ;;
  esac
  echo "$how $took $(grep -v '^ *$' "$out/$name.log" | tail -n 1 | cut -c 1-100)" >"$out/$name.status"
}

absent() {
  echo "$1"
  return 77
}

# Steps that are more than one command.
system() {
  "$here/bin/pixeldp" info
  if command -v nvidia-smi >/dev/null; then nvidia-smi -q -d CLOCK,POWER,ECC,PERFORMANCE || true; fi
}
measure() {  # NAME PART...: a table here, and JSON in OUT
  "$here/bin/bench" device --device "$device" $quick --output "$out/$1.json" "${@:2}"
}
on_gpu() {  # PROGRAM...: what cannot run on `emulated`
  [ "$device" != emulated ] || { absent "the device is emulated"; return; }
  "$@"
}
sanitizer() {  # TOOL
  local program
  program=$(command -v compute-sanitizer || compgen -G '/usr/local/cuda*/bin/compute-sanitizer' | head -n 1) ||
    { absent "compute-sanitizer is not here"; return; }
  on_gpu "$program" --tool "$1" --error-exitcode 1 "$here/bin/test_ptx" \
    -tc="*multi-draw*,*tensor*,*noise*" --no-intro
}
certify() {  # NAME DEVICE IMAGES DRAWS [OPTION...]
  local name=$1
  rm -f "$out/$name.jsonl"
  "$here/bin/pixeldp" certify "$here/model" --data "$here/data/mnist" --device "$2" --images "0:$3" --draws "$4" \
    --output "$out/$name.jsonl" "${@:5}"
}
compare_with_emulated() {
  certify few-emulated emulated "$few_images" "$few_draws"
  certify few "$device" "$few_images" "$few_draws"
  "$here/bin/bench" votes "$out/few-emulated.jsonl" "$out/few.jsonl"
}
compare_with_processor() {
  certify all-cpu cpu "$images" "$draws"
  "$here/bin/bench" votes "$out/all-cpu.jsonl" "$out/all.jsonl"
}
pytorch() {
  "$python" -c 'import torch' 2>/dev/null || { absent "$python has no PyTorch"; return; }
  on_gpu "$python" "$here/bench/pytorch.py" --device cuda $quick --against "$out/networks.json"
}
# The kernels that take the most time, as a profiler sees them: tensor pipe, L2 and DRAM, issue slots, stalls.
profile() {
  local program name
  program=$(command -v ncu || compgen -G '/usr/local/cuda*/bin/ncu' | head -n 1) || { absent "ncu is not here"; return; }
  for name in '320 draws of 32 images, from noise to statistics' \
    'end of a residual unit, 16x32x32x160, 160 kernels 3x3, stride 1' \
    'noise inside the 64x32x32x16, 160 kernels 3x3, stride 1' \
    'gradient in the weight, 16x32x32x160, 160 kernels 3x3, stride 1, bf16' \
    'Gaussian noise, 512 rows of 6272'; do
    on_gpu "$program" --section SpeedOfLight --section WarpStateStats --section SchedulerStats \
      --section MemoryWorkloadAnalysis --launch-count 3 \
      "$here/bin/bench" device --device "$device" --run "$name" || return
  done
}

run() {
  out= device=cuda seconds=480 quick=
  while [ $# -gt 0 ]; do
    case $1 in
      --device) device=${2:?} && shift ;;
      --seconds) seconds=${2:?} && shift ;;
      --quick) quick=--quick ;;
      -*) usage ;;
      *) [ -z "$out" ] && out=$1 || usage ;;
    esac
    shift
  done
  [ -n "$out" ] || usage
  mkdir -p "$out"
  case $0 in */*) here=$(cd "${0%/*}" && pwd) ;; *) here=$PWD ;; esac
  out=$(cd "$out" && pwd) python=${PYTHON:-python3}
  [ -x "$here/bin/pixeldp" ] || {
    echo "error: no bin/pixeldp beside $0: unpack what '$0 pack' makes, and start first_light.sh there" >&2
    exit 1
  }
  images=10000 draws=500 few_images=200 few_draws=64
  [ -z "$quick" ] || images=4 draws=20 few_images=2 few_draws=20
  export out device here python quick images draws few_images few_draws
  export -f absent system measure on_gpu sanitizer certify compare_with_emulated compare_with_processor pytorch profile

  step info 10 system
  step ceilings 40 measure ceilings ceilings
  step parity-kernels 90 on_gpu "$here/bin/test_ptx" --no-intro
  step parity-program 60 "$here/bin/test_cli" -tc="every device*" --no-intro
  step memcheck 50 sanitizer memcheck
  step racecheck 50 sanitizer racecheck
  step certify 40 certify all "$device" $images $draws
  step certify-processor 60 compare_with_processor
  step certify-emulated 90 compare_with_emulated
  step networks 120 measure networks draws training
  step convolutions 60 measure convolutions convolutions
  step kernels 60 measure kernels kernels
  step pytorch 90 pytorch
  step profile 60 profile

  printf '\n%-18s %-7s %5s  %s\n' step result s "last line of its log"
  local name how took last left=0
  for name in "${names[@]}"; do
    read -r how took last <"$out/$name.status"
    printf '%-18s %-7s %5s  %s\n' "$name" "$how" "$took" "$last"
    [ "$how" != cut ] || left=$((left + 1))
  done
  [ $left = 0 ] || echo "$left steps had no time: run the same again for them"
}

case ${1:-} in
  pack | run) "$@" ;;
  *) usage ;;
esac
