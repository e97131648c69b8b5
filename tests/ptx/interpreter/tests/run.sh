#!/bin/sh
# Compiles and runs all tests. OUT: the folder of the libraries; NVCC: the compiler.
here=$(cd "$(dirname "$0")" && pwd)
: "${OUT:?the folder with libptxrun.so}" "${NVCC:=nvcc}"
t=$OUT/tests
mkdir -p "$t"
log=$t/log.txt
: > "$log"
unset PTXRUN_RACE PTXRUN_SHUFFLE PTXRUN_THREADS PTXRUN_STATS PTXRUN_POISON PTXRUN_ARCH
link="-L$OUT -lptxrun_cudart -lptxrun -Xlinker -rpath=$OUT"
flags="-O2 -std=c++17 -cudart none --no-compress -diag-suppress 177 -I$here -I$here/../include"
arch() { echo "-gencode arch=compute_$1,code=compute_$1"; }
# program NAME ARCH SOURCE... : compiles, nothing when up to date
failed=0
program() {
  name=$1 a=$2
  shift 2
  $NVCC $flags $(arch "$a") -o "$t/$name" "$@" $link >> "$log" 2>&1 || {
    echo "FAIL $name does not compile (see $log)"
    failed=1
  }
}
# expect WORDS... : runs a command; its last line is shown
expect() {
  what=$1
  shift
  if env "$@" > "$t/out.txt" 2>> "$log"; then
    echo "$(grep -E '^(PASS|part 2)' "$t/out.txt" | tail -1) [$what]"
  else
    failed=1
    echo "FAIL [$what] $*"
    tail -20 "$t/out.txt"
  fi
}
(program kernels 80 "$here/test_kernels.cu" && program kernels90 90 "$here/test_kernels.cu") &
(program operations 80 "$here/test_operations.cu" && program operations90 90 "$here/test_operations.cu") &
wait
program mma 80 "$here/test_mma.cu" &
program mma89 89 -DFP8 "$here/test_mma.cu" &
wait
program runtime 80 "$here/test_runtime.cu" &
program cublas 80 "$here/test_cublas.cu" -lptxrun_cublas &
wait
program parallel 80 "$here/test_parallel.cu" &
program stats 80 "$here/test_stats.cu" &
wait
program cooperative 80 "$here/test_cooperative.cu" &
program async 90 "$here/test_async.cu" &
program cluster 90a "$here/test_cluster.cu" &
program wgmma 90a "$here/test_wgmma.cu" &
# separate compilation: a static library of objects
(cd "$t" && $NVCC $flags $(arch 80) -c "$here/parts_a.cu" -o parts_a.o &&
  $NVCC $flags $(arch 80) -c "$here/parts_b.cu" -o parts_b.o && rm -f libparts.a &&
  ar rc libparts.a parts_b.o && $NVCC $flags $(arch 80) "$here/parts_main.cu" parts_a.o libparts.a \
    -o parts $link) >> "$log" 2>&1 || { echo "FAIL parts does not compile"; failed=1; }
$NVCC -ptx -lineinfo -O3 -arch=sm_80 -o "$t/bugs.ptx" "$here/kernels/bugs.cu" >> "$log" 2>&1
${CXX:-g++} -std=c++17 -O1 -I"$here/../include" "$here/test_bugs.cpp" -o "$t/bugs" -L"$OUT" -lptxrun \
  -Wl,-rpath,"$OUT"
wait

expect "one thread" PTXRUN_THREADS=1 "$t/kernels"
expect "two threads" PTXRUN_THREADS=2 "$t/kernels"
expect "compute_90" PTXRUN_ARCH=90 "$t/kernels90"
for seed in 1 2 3; do
  expect "race level 2, order $seed" PTXRUN_RACE=2 PTXRUN_SHUFFLE=$seed "$t/kernels"
done
expect "operations against the host, compute_80" "$t/operations"
expect "operations against the host, compute_90" PTXRUN_ARCH=90 "$t/operations90"
expect "fragment layouts" "$t/mma"
expect "fragment layouts with fp8" PTXRUN_ARCH=89 "$t/mma89"
expect "runtime" "$t/runtime"
expect "runtime, race level 2" PTXRUN_RACE=2 "$t/runtime"
if (PTXRUN_LEAKS=1; "$t/runtime" abort) 2>&1 | grep -q 'cudaImportExternalMemory is not supported'; then
  echo "PASS an unsupported call names itself"
else
  echo "FAIL an unsupported call does not name itself"; failed=1
fi
for n in 1 2 4; do expect "parallel, $n threads" PTXRUN_THREADS=$n "$t/parallel"; done
expect "cooperative groups and CUB" "$t/cooperative"
for seed in 4 5; do
  expect "cooperative groups and CUB, order $seed" PTXRUN_RACE=2 PTXRUN_SHUFFLE=$seed "$t/cooperative"
done
expect "mbarrier, bulk copies, tensor maps" PTXRUN_ARCH=90 "$t/async"
expect "wgmma" PTXRUN_ARCH=90 "$t/wgmma"
expect "clusters" PTXRUN_ARCH=90 "$t/cluster"
for seed in 10 11 12; do
  expect "clusters, race level 2, order $seed" PTXRUN_ARCH=90 PTXRUN_RACE=2 PTXRUN_SHUFFLE=$seed "$t/cluster"
done
for seed in 6 7 8; do
  expect "mbarrier, order $seed" PTXRUN_ARCH=90 PTXRUN_SHUFFLE=$seed "$t/async"
done
expect "separate compilation, static library" "$t/parts"
expect "cublas" "$t/cublas"
expect "statistics" "$t/stats"
expect "seeded bugs" "$t/bugs" "$t/bugs.ptx" "$here/unsupported.ptx"
expect "seeded bugs, order 9" PTXRUN_SHUFFLE=9 "$t/bugs" "$t/bugs.ptx" "$here/unsupported.ptx"
# command line: x + x on 1000 floats
dd if=/dev/zero of="$t/x.bin" bs=4000 count=1 2> /dev/null
$NVCC -ptx -arch=sm_80 -o "$t/basic.ptx" "$here/kernels/basic.cu"
if "$OUT/ptxrun" "$t/basic.ptx" vecadd -g 4 -b 256 "in:$t/x.bin" "in:$t/x.bin" "out:4000:$t/y.bin" \
  i32:1000 2>> "$log" && cmp -s "$t/x.bin" "$t/y.bin" &&
  "$OUT/ptxrun" "$t/basic.ptx" | grep -q '^saxpy: 4 parameters'; then
  echo "PASS command line"
else
  echo "FAIL command line"; failed=1
fi
[ $failed = 0 ] && echo "all tests passed" || echo "SOME TESTS FAILED"
exit $failed
