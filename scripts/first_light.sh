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
  local file=${1:+$(realpath -m "$1")}
  cd "$(dirname "$0")/.."
  file=${file:-$PWD/build/first-light.tar.xz}
  local data=${PIXELDP_DATA:-data} stage program name=pixeldp-first-light
  for part in images-idx3 labels-idx1; do
    compgen -G "$data/mnist/t10k-$part-ubyte*" >/dev/null || {
      echo "error: $data/mnist has no t10k-$part-ubyte: PIXELDP_DATA names the folder that holds mnist/" >&2
      exit 1
    }
  done
  stage=$(mktemp -d)
  trap "rm -rf '$stage'" EXIT
  scripts/bundle.sh "$stage/$name/" >/dev/null
  for program in pixeldp bench test_cli test_ptx; do
    [ -x "$stage/$name/bin/$program" ] || {
      echo "error: build/ has no $program: it takes 'cmake --preset default', the CUDA Toolkit and doctest" >&2
      exit 1
    }
  done
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
#   passed, failed, slow (ran past its own limit), and what another run takes again: absent (something it needs is not
#   here), cut (no time was left).
names=()
child=
step() {
  local name=$1 limit=$2 left=$((seconds - SECONDS)) begin=$SECONDS status=0 most how took
  shift 2
  names+=("$name")
  if [ -s "$out/$name.status" ] && ! grep -Eq '^(cut|absent)' "$out/$name.status"; then return; fi
  if [ $left -lt 5 ]; then
    tell "$name" "cut 0 not started"
    return
  fi
  most=$((limit < left ? limit : left))
  echo "== $name (at most $most s)"
  timeout -k 5 $most bash -euo pipefail -c '"$@"' bash "$@" >"$out/$name.log" 2>&1 </dev/null &
  child=$!
  wait "$child" || status=$?
  end_child
  took=$((SECONDS - begin)) how=failed
  case $status in
    0) how=passed ;;
    77) how=absent ;;
    124 | 137) [ $took -lt $most ] || how=$([ "$limit" -le $left ] && echo slow || echo cut) ;;
  esac
  tell "$name" "$how $took $(grep -av '^ *$' "$out/$name.log" | tail -n 1 | cut -c 1-140)"
}
tell() { echo "$2" >"$out/$1.status.part" && mv "$out/$1.status.part" "$out/$1.status"; }

# What a step leaves behind would share the GPU with all that come after it. (timeout leads a process group of its own.)
end_child() {
  local i
  for i in 1 2 3 4 5; do
    kill -TERM -- "-$child" 2>/dev/null || break
    sleep 1
  done
  kill -KILL -- "-$child" 2>/dev/null || true
  child=
}
interrupted() {
  trap - INT TERM HUP
  [ -z "$child" ] || end_child
  echo "interrupted: the same again goes on" >&2
  exit 130
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
compare_with_processor() {  # as many images as a few cores can do, of those that the device did
  certify all-cpu cpu "$cpu_images" "$draws"
  "$here/bin/bench" votes "$out/all-cpu.jsonl" "$out/all.jsonl"
}
pytorch() {
  "$python" -c 'import torch' 2>/dev/null || { absent "$python has no PyTorch"; return; }
  local against=()
  [ ! -s "$out/networks.json" ] || against=(--against "$out/networks.json")
  on_gpu "$python" "$here/bench/pytorch.py" --device cuda $quick "${against[@]}"
}
# The kernels that take the most time, as a profiler sees them: tensor pipe, L2 and DRAM, issue slots, stalls.
profile() {
  local program name status=0
  program=$(command -v ncu || compgen -G '/usr/local/cuda*/bin/ncu' | head -n 1) || { absent "ncu is not here"; return; }
  for name in '320 draws of 32 images, from noise to statistics' \
    'end of a residual unit, 16x32x32x160, 160 kernels 3x3, stride 1' \
    'noise inside the 64x32x32x16, 160 kernels 3x3, stride 1' \
    'gradient in the weight, 16x32x32x160, 160 kernels 3x3, stride 1, bf16' \
    'Gaussian noise, 512 rows of 6272'; do
    on_gpu "$program" --section SpeedOfLight --section ComputeWorkloadAnalysis --section MemoryWorkloadAnalysis \
      --section SchedulerStats --section WarpStateStats --launch-count 4 \
      "$here/bin/bench" device --device "$device" --run "$name" || status=$?
  done
  return $status
}

run() {
  out= device=cuda seconds=480 quick=
  while [ $# -gt 0 ]; do
    case $1 in
      --device | --seconds)
        [ $# -gt 1 ] || usage
        [ "$1" = --device ] && device=$2 || seconds=$2
        shift
        ;;
      --quick) quick=--quick ;;
      -*) usage ;;
      *) [ -z "$out" ] && out=$1 || usage ;;
    esac
    shift
  done
  [ -n "$out" ] && [[ $seconds =~ ^[1-9][0-9]*$ ]] && [[ $device =~ ^(cuda(:[0-9]+)?|emulated)$ ]] || usage
  case $0 in */*) here=$(cd "${0%/*}" && pwd) ;; *) here=$PWD ;; esac
  [ -x "$here/bin/pixeldp" ] || {
    echo "error: no bin/pixeldp beside $0: unpack what '$0 pack' makes, and start first_light.sh there" >&2
    exit 1
  }
  "$here/bin/pixeldp" --version >/dev/null || { echo "error: the program does not start on this machine" >&2; exit 1; }
  case $device in
    cuda:*) export CUDA_VISIBLE_DEVICES=${device#cuda:} device=cuda ;;  # for PyTorch and the tests too
  esac
  mkdir -p "$out"
  out=$(cd "$out" && pwd) python=${PYTHON:-python3}
  # Results of another device, or of the smallest shapes, must not pass for these.
  local this="$device $quick ${CUDA_VISIBLE_DEVICES:-} $(command -v nvidia-smi >/dev/null && nvidia-smi -L || true)"
  [ -s "$out/run" ] || echo "$this" >"$out/run"
  [ "$(cat "$out/run")" = "$this" ] || {
    echo "error: $out holds the results of another run ($(cat "$out/run")): give a new folder" >&2
    exit 1
  }
  if [ -z "${PIXELDP_LIBRARIES:-}" ]; then  # cuBLASLt, cuDNN and NCCL beside PyTorch
    PIXELDP_LIBRARIES=$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
    export PIXELDP_LIBRARIES
  fi
  trap interrupted INT TERM HUP
  images=10000 cpu_images=2000 draws=500 few_images=200 few_draws=64
  [ -z "$quick" ] || images=4 cpu_images=4 draws=20 few_images=2 few_draws=20
  export out device here python quick images cpu_images draws few_images few_draws
  export -f absent system measure on_gpu sanitizer certify compare_with_emulated compare_with_processor pytorch profile

  step info 10 system
  step ceilings 40 measure ceilings ceilings
  step parity-kernels 90 on_gpu "$here/bin/test_ptx" --no-intro
  step parity-program 90 "$here/bin/test_cli" -tc="every device*" --no-intro
  step collectives 30 "$here/bin/test_cli" -tc="one rank does all collectives*" --no-intro
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
    read -r how took last <"$out/$name.status" || true
    printf '%-18s %-7s %5s  %s\n' "$name" "$how" "$took" "$last"
    [ "$how" != cut ] || left=$((left + 1))
  done
  [ $left = 0 ] || echo "$left steps had no time: run the same again for them"
}

case ${1:-} in
  pack | run) "$@" ;;
  *) usage ;;
esac
