#!/usr/bin/env bash
# Packs the program, the benchmarks and the tests of devices with every library they need but glibc and MPI, which is a
# cluster's own, for machines that can install nothing, such as the nodes of a cluster: unpack it anywhere and start
# bin/pixeldp. cuBLAS, cuDNN and NCCL are taken where they are, or done without. Runs on x86-64 Linux with the glibc of
# the machine that builds it, or a newer one; make it on Debian 12 to need no more than 2.36.
#
#   scripts/bundle.sh [FILE.tar.xz]      (default: build/pixeldp-VERSION-linux-x86_64.tar.xz)
#   scripts/bundle.sh FOLDER/            not packed, in a folder that is not there yet
set -euo pipefail
cd "$(dirname "$0")/.."

[[ ${1:-} == */ ]] || command -v xz >/dev/null || { echo "error: xz is missing: apt-get install xz-utils" >&2; exit 1; }
[ -f build/CMakeCache.txt ] || cmake --preset default
cmake --build build
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' build/CMakeCache.txt)
name=pixeldp-$version-linux-x86_64
if [[ ${1:-} == */ ]]; then
  file='' folder=$(realpath -m "$1")
  [ ! -e "$folder" ] || { echo "error: $folder is there already" >&2; exit 1; }
else
  file=$(realpath -m "${1:-build/$name.tar.xz}")
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  folder=$stage/$name
fi

cmake --install build --component bundle --prefix "$folder" --strip >/dev/null
cp -r configs README.md LICENSE "$folder"
cp --parents docs/clusters.md docs/sharing.png scripts/slurm/* "$folder"
mkdir -p "$folder/bench" "$folder/lib"
cp bench/networks.py bench/pytorch.py "$folder/bench"

# Libraries are found beside the programs (their RPATH) and say who needs them in turn. glibc comes with every system,
# and must be that of its kernel and name services.
glibc='^(ld-linux-x86-64|libc|libm|libpthread|libdl|librt|libresolv|libutil|libanl)\.so'
for program in "$folder"/bin/*; do
  ldd "$program" | awk '$2 == "=>" { print $1, $3 }' | while read -r soname path; do
    if [[ $soname =~ $glibc || -e $folder/lib/$soname ]]; then continue; fi
    [ -e "$path" ] || { echo "error: $program needs $soname, which is not installed" >&2; exit 1; }
    cp -L "$path" "$folder/lib/$soname"
  done
done

# The newest version of glibc that anything in the bundle asks for.
needed=$(objdump -T "$folder"/bin/* "$folder"/lib/* | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
[ -n "$file" ] || { echo "$folder: needs glibc ${needed#GLIBC_}"; exit 0; }
tar -C "$stage" --owner=0 --group=0 --sort=name -cJf "$file.part" "$name"
mv "$file.part" "$file"
echo "$file: $(du -h --apparent-size "$file" | cut -f1), needs glibc ${needed#GLIBC_}"
