#!/usr/bin/env python3
"""The table of the CUDA kernels: python3 bench/kernels.py build > bench/kernels.md

What they take (from the cubins), what representative shapes cost at the least, and what of that the compiled PTX
does, as the interpreter of PTX counts it (tests/ptx/interpreter). No figure is a measurement of time.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import cubin
import occupancy

ROOT = pathlib.Path(__file__).resolve().parent.parent


def counted(build, interpreter, name, arch):
    """symbol -> what the interpreter, as a device of this architecture, counted in one case."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        runtime = pathlib.Path(interpreter) / "libptxrun_cudart.so"
        # The launches are those of the table, whatever device the interpreter stands for.
        environment = {**os.environ, "LD_PRELOAD": str(runtime), "PTXRUN_STATS": file.name,
                       "PIXELDP_ARCHITECTURE": str(arch), "PTXRUN_ARCH": str(arch)}
        subprocess.run([pathlib.Path(build) / "bench/bench", "device", "--run", name], env=environment, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {kernel["symbol"]: kernel for kernel in json.load(file)["kernels"]}


def resources(kernels, launch):
    """What one launch takes of each GPU that has the kernel."""
    x, y, z = launch["block"]
    found = {}
    for gpu in occupancy.GPUS:
        if (launch["kernel"], gpu.arch) not in kernels:
            continue
        kernel = kernels[launch["kernel"], gpu.arch]
        shared = kernel.shared + launch["shared"]
        arguments = gpu, kernel.registers, x * y * z, shared
        found[gpu.name] = {"registers": kernel.registers, "shared": shared, "stack": kernel.stack,
                           "blocks": occupancy.blocks_per_multiprocessor(*arguments),
                           "occupancy": occupancy.occupancy(*arguments)}
    return found


def work(case, stats):
    """What was counted of a case's work, against the least: {} where nothing was."""
    if not stats:
        return {}
    kernels = stats.values()
    total = lambda *path: sum(value_at(kernel, path) for kernel in kernels)
    instructions = total("warp_instructions")
    wavefronts = total("shared", "wavefronts")
    found = {"instructions": instructions,
             "mix": {name: total("classes", name, "warp") / instructions
                     for name in sorted({name for kernel in kernels for name in kernel["classes"]})},
             "bytes": total("global", "read_bytes") + total("global", "write_bytes"),
             "extra_sectors": total("global", "sectors") - total("global", "ideal_sectors"),
             "bank_conflicts": wavefronts - total("shared", "ideal_wavefronts"), "wavefronts": wavefronts}
    if case["unit"] in ("bf16", "tf32", "int8"):
        found["operations"] = total("classes", "mma", "flop")
    return found


def value_at(tree, path):
    for name in path:
        tree = tree.get(name, 0) if isinstance(tree, dict) else 0
    return tree


def table(build, interpreter):
    kernels = {(kernel.symbol, kernel.arch): kernel for kernel in cubin.kernels_of_build(build, ROOT)}
    report = []
    for case in cubin.cases_of_build(build):
        arch = min(arch for arch in {arch for _, arch in kernels}
                   if all((launch["kernel"], arch) in kernels for launch in case["launches"]))
        work_done = work(case, counted(build, interpreter, case["name"], arch) if interpreter else {})
        entry = {"name": case["name"], "unit": case["unit"], "operations": case["operations"], "bytes": case["bytes"],
                 "counted": work_done, "launches": [], "computed_not_measured": {}}
        for launch in case["launches"]:
            entry["launches"].append({"kernel": kernels[launch["kernel"], arch].name, "grid": launch["grid"],
                                      "block": launch["block"], "resources": resources(kernels, launch)})
        for gpu in occupancy.GPUS:
            seconds, limit = occupancy.roofline(gpu, case["unit"], case["operations"], case["bytes"])
            issue = work_done["instructions"] / gpu.issue if work_done else None
            entry["computed_not_measured"][gpu.name] = {"seconds": seconds, "limit": limit, "ptx_issue_seconds": issue}
        report.append(entry)
    return report


def line(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def markdown(report):
    names = [gpu.name for gpu in occupancy.GPUS]
    yield "# The CUDA kernels on representative shapes"
    yield ""
    yield "Made by `bench/kernels.py`. Registers and shared memory are those of the compiled kernels; no kernel has a"
    yield "stack or spills. Occupancy: resident warps of the 64 that a multiprocessor has room for."
    yield ""
    yield line("kernel", "blocks, threads of each", "registers sm_80, sm_90", "shared memory",
               *(f"blocks per multiprocessor, occupancy: {name}" for name in names))
    yield line(*["---"] * (4 + len(names)))
    seen = set()
    for entry in report:
        for launch in entry["launches"]:
            found = launch["resources"]
            shared = next(iter(found.values()))["shared"]
            cells = (launch["kernel"], shared, tuple(launch["block"]))
            if cells in seen:
                continue
            seen.add(cells)
            yield line(f"`{launch['kernel']}`", f"{size(launch['grid'])}, {size(launch['block'])}",
                       ", ".join(str(found[name]["registers"]) if name in found else "-" for name in names), shared,
                       *(f"{found[name]['blocks']}, {100 * found[name]['occupancy']:.0f} %" if name in found else "-"
                         for name in names))
    yield ""
    yield "The least that a shape can cost: each operand from or to memory once, each operation once. Beside it, what the"
    yield "compiled PTX does, as an interpreter counts it: bytes that threads ask for, most of them from a cache; operations"
    yield "of `mma`, padding of tiles included; the share of `mma` in the warps' instructions, and the largest other classes;"
    yield "bank conflicts, in accesses to shared memory beyond the fewest. Blank: not counted."
    yield ""
    yield "The times are **computed, not measured**. The first is the longer of bytes by bandwidth and operations by peak"
    yield "rate (fp32, or bf16 or tf32 on tensor cores): no kernel can be faster; how much slower it is, only a GPU can tell. In"
    yield "brackets, the counted instructions of PTX by four per clock and multiprocessor, which is no limit, for the"
    yield "assembler merges instructions and adds others, but hints at kernels that are short of neither bytes nor operations."
    yield ""
    yield line("shape", "MB", "asked for", "GFLOP", "by `mma`", "share of `mma`", "other instructions", "bank conflicts",
               *(f"{name}, computed, not measured" for name in names))
    yield line(*["---"] * (8 + len(names)))
    for entry in report:
        count = entry["counted"]
        mix = sorted(count.get("mix", {}).items(), key=lambda item: -item[1])
        others = ", ".join(f"{name} {100 * share:.0f} %" for name, share in mix if name != "mma")
        times = entry["computed_not_measured"]
        operations = entry["operations"]
        yield line(
            entry["name"], f"{entry['bytes'] / 1e6:.2f}",
            f"{count['bytes'] / entry['bytes']:.2f}x" if count else "",
            f"{operations / 1e9:.3f}" if operations else "",
            f"{count['operations'] / operations:.2f}x" if "operations" in count else "",
            f"{100 * count['mix']['mma']:.0f} %" if "mma" in count.get("mix", {}) else "",
            ", ".join(others.split(", ")[:3]),
            f"{count['bank_conflicts']} of {count['wavefronts']}" if count else "",
            *(computed(times[name]) for name in names))


def computed(time):
    issue = time["ptx_issue_seconds"]
    return f"{1e6 * time['seconds']:.1f} us, {time['limit']}" + (f" ({1e6 * issue:.1f})" if issue is not None else "")


def size(extent):
    return "x".join(map(str, extent[:1] + [n for n in extent[1:] if n > 1]))


def main():
    parser = argparse.ArgumentParser(description="The table of the CUDA kernels")
    parser.add_argument("build", help="a build folder with bench and bench_kernel_cases")
    parser.add_argument("--no-counts", action="store_true", help="without what the interpreter of PTX counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report = table(options.build, None if options.no_counts else pathlib.Path(options.build) / "ptxrun")
    print(json.dumps({"cases": report}) if options.json else "\n".join(markdown(report)))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
