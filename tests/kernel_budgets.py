#!/usr/bin/env python3
"""Holds every CUDA kernel to its budget of registers, shared memory and instructions, tests/kernel_budgets.txt.

kernel_budgets.py BUILD [--update]: compares what nvcc made with the budget, or writes the budget anew.
"""

import argparse
import math
import pathlib
import re
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import cubin

BUDGETS = ROOT / "tests/kernel_budgets.txt"
# Where tiles state their instructions per mma, and the kernels of each.
TILES = {"kernels/cuda/convolution_gemm.hpp":
             ("convolution_gemm: conv2d_gemm_kernel<TileOf<{}>, unsigned short, ConvEpilogue, unsigned short>",
              "convolution_int8: conv2d_gemm_kernel<TileOf<{}>, signed char, Int8Epilogue>"),
         "kernels/cuda/convolution_weight.hpp":
             ("convolution_weight: conv2d_gemm_weight_kernel<TileOf<{}, unsigned short>, unsigned short>",)}
HEAD = """\
# The most that each kernel may take: registers of a thread on sm_80 and sm_90, and bytes of shared memory
# of a block, in the shapes of bench/cuda/kernel_cases.cpp (-: none launches this instance); machine
# instructions of the main loop per mma, or wgmma, on sm_80 and sm_90 (-: none). No stack, no spills. Of nvcc
# 13.0; another version may take more, or less.
# Written by: python3 tests/kernel_budgets.py BUILD --update
"""
# Machine instructions per mma that the main loops by mma.sync may take at 128 x 128 in bf16 and int8, whatever their budget.
MOST_PER_MMA = 2.8
AT_128_X_128 = ("convolution_gemm: conv2d_gemm_kernel<TileOf<0>, unsigned short, ConvEpilogue, unsigned short>",
                "convolution_int8: conv2d_gemm_kernel<TileOf<0>, signed char, Int8Epilogue>",
                "convolution_weight: conv2d_gemm_weight_kernel<TileOf<0, unsigned short>, unsigned short>")
COLUMNS = "sm_80", "sm_90", "shared", "mma_80", "mma_90"


def measure(kernels, cases):
    """name -> values of COLUMNS, None where there are none, and what is wrong with them."""
    found, problems = {}, []
    for kernel in kernels:
        if kernel.stack > 0:
            problems.append(f"{kernel.name}, sm_{kernel.arch}: {kernel.stack} bytes of stack: spilt registers or "
                            "arrays indexed at run time")
        row = found.setdefault(kernel.name, [None] * len(COLUMNS))
        column = COLUMNS.index(f"sm_{kernel.arch}")
        if row[column] is not None:
            problems.append(f"{kernel.name}: two kernels of this name in one file")
        row[column] = kernel.registers
        if kernel.per_mma is not None:
            row[COLUMNS.index(f"mma_{kernel.arch}")] = math.ceil(100 * kernel.per_mma) / 100
    by_symbol = {kernel.symbol: kernel for kernel in kernels}
    for case in cases:
        for launch in case["launches"]:
            kernel = by_symbol[launch["kernel"]]
            row = found[kernel.name]
            row[2] = max(row[2] or 0, kernel.shared + launch["shared"])
    template = lambda name: name.split("<")[0]
    launched = {template(name) for name, row in found.items() if row[2] is not None}
    for name in sorted({template(name) for name in found} - launched):
        problems.append(f"{name}: launched by no case; add one to bench/cuda/kernel_cases.cpp")
    return found, problems


def check_tiles(found, path, header):
    """Plans choose tiles by instructions per mma that ConvTile states: those of the compiled kernel with the most, or up
    to a tenth more."""
    problems = []
    for i, stated in enumerate(re.findall(r"\{\d+, \d+, \d+, \d+, \d+, ([0-9.]+)\}", header)):
        most = max(found[name.format(i)][COLUMNS.index(column)]
                   for name in TILES[path] for column in ("mma_80", "mma_90"))
        if not 0.9 * float(stated) <= most <= float(stated):
            problems.append(f"per_mma of tile {i} is {stated}, and a kernel of it has {text(most)}: mend {path}")
    return problems


def check_most(found):
    return [f"{name}: {column} {text(value)}, more than {MOST_PER_MMA} whatever the budget"
            for name in AT_128_X_128 for column, value in zip(COLUMNS, found[name])
            if column.startswith("mma") and value > MOST_PER_MMA]


def compare(found, budget):
    problems = [f"{name}: no budget" for name in sorted(found.keys() - budget.keys())]
    problems += [f"{name}: a budget but no such kernel" for name in sorted(budget.keys() - found.keys())]
    for name in sorted(found.keys() & budget.keys()):
        for column, has, may in zip(COLUMNS, found[name], budget[name]):
            if (has is None) != (may is None) or (has is not None and has > may):
                problems.append(f"{name}: {column} {text(has)}, budget {text(may)}")
    return problems


def text(value):
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def write(found):
    width = max(map(len, found))
    lines = [f"{'#':{width}}" + "".join(f"{column:>8}" for column in COLUMNS)]
    lines += [f"{name:{width}}" + "".join(f"{text(value):>8}" for value in found[name]) for name in sorted(found)]
    return HEAD + "\n".join(lines) + "\n"


def read(lines):
    budget = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            name, *values = line.rstrip().rsplit(maxsplit=len(COLUMNS))
            budget[name.strip()] = [None if value == "-" else float(value) if "." in value else int(value)
                                    for value in values]
    return budget


def main():
    parser = argparse.ArgumentParser(description="Budgets of the CUDA kernels")
    parser.add_argument("build")
    parser.add_argument("--update", action="store_true", help="write the budget anew")
    options = parser.parse_args()
    found, problems = measure(cubin.kernels_of_build(options.build, ROOT), cubin.cases_of_build(options.build))
    for path in TILES:
        problems += check_tiles(found, path, (ROOT / path).read_text())
    problems += check_most(found)
    if options.update:
        BUDGETS.write_text(write(found))
    else:
        problems += compare(found, read(BUDGETS.read_text().splitlines()))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems and not options.update:
        print(f"If that is meant to be: python3 {pathlib.Path(__file__)} {options.build} --update", file=sys.stderr)
    print(f"{len(found)} kernels, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(f"error: {error}")
