"""What ptxas made of each kernel, read from the objects that nvcc wrote.

An object holds a "fatbin": for each architecture the PTX and a cubin, which is an ELF file. Its
.nv.info sections are lists of attributes: format, attribute (a byte each), and two bytes of value or
of the length of what follows. Machine code lies in .text sections, 16 bytes to an instruction, the
operation in the lowest 12 bits. Needs objects made with --no-compress.
"""

import json
import pathlib
import re
import struct
import subprocess

FATBIN, FATBIN_CUBIN = 0xBA55ED50, 2
SIZED = 4  # the format of attributes of more than two bytes
REGISTERS, FRAME, STACK, MAX_THREADS = 0x2F, 0x11, 0x12, 0x05
# From sm_90 on, static shared memory begins with what the system keeps for itself in every block.
SYSTEM_SHARED = 1024
INSTRUCTION, BRANCH, EXIT, ALWAYS = 16, 0x947, 0x94D, 7
MMA = 0x23C, 0x237  # of floating point and of integers
WARPGROUP_MMA = 0x9F0, 0x9F1  # the same
NO_REGISTER = 0xFF


class Kernel:
    """registers: of a thread; stack: bytes of local memory, spills among them; shared: static bytes;
    threads: the most that a block may have (__launch_bounds__); per_mma: machine instructions of the main
    loop for each mma in it, None where there is none."""

    def __init__(self, symbol, arch):
        self.symbol, self.arch = symbol, arch
        self.registers = self.stack = self.shared = self.threads = 0
        self.per_mma = None


def sections(data, start=0):
    """Name, type, offset and size of each section of the ELF file at `start`, and its info field."""
    table, = struct.unpack_from("<Q", data, start + 0x28)
    entry, count, names = struct.unpack_from("<HHH", data, start + 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, start + table + i * entry) for i in range(count)]
    for header in headers:
        name = start + headers[names][4] + header[0]
        text = data[name:data.index(b"\0", name)].decode()
        yield text, start + header[4], header[5], header[6]


def cubins(data):
    """Architecture and offset of each cubin in an object."""
    for name, offset, size, _ in sections(data):
        if name != ".nv_fatbin":
            continue
        position, end = offset, offset + size
        while position < end:
            magic, _, header, length = struct.unpack_from("<IHHQ", data, position)
            if magic != FATBIN:
                raise ValueError("no fatbin where one should begin")
            entry = position + header
            position = entry + length
            while entry < position:
                kind, _, skip, stored = struct.unpack_from("<HHIQ", data, entry)
                arch, = struct.unpack_from("<I", data, entry + 28)
                if kind == FATBIN_CUBIN:
                    if data[entry + skip:entry + skip + 4] != b"\x7fELF":
                        raise ValueError("a compressed cubin: compile with --no-compress")
                    yield arch, entry + skip
                entry += skip + stored
            position += -(position - offset) % 8


def attributes(data, offset, size):
    """Attribute and contents; contents of short ones are skipped."""
    end = offset + size
    while offset < end:
        form, attribute, length = struct.unpack_from("<BBH", data, offset)
        offset += 4
        if form == SIZED:
            yield attribute, data[offset:offset + length]
            offset += length


def branch(word, arch):
    """How many instructions a branch skips; negative: it goes back."""
    distance = word >> 34 if arch < 90 else word >> 34 << 8 | word >> 16 & 0xFF
    bits = 30 if arch < 90 else 38
    return (distance - (1 << bits if distance >> bits - 1 else 0)) * 4 // INSTRUCTION


def is_warpgroup_mma(word):
    """Not the one without sums that closes a group."""
    return word & 0xFFF in WARPGROUP_MMA and word >> 16 & 0xFF != NO_REGISTER


def reached(edges, start, within):
    """What a way through these places leads to, from behind each of its ends."""
    left = [place for place in start if place in within]
    found = set(left)
    while left:
        for place in edges[left.pop()]:
            if place in within and place not in found:
                found.add(place)
                left.append(place)
    return found


def loop_around(after, before, place, within):
    """All from which a way leads to the place and back."""
    return reached(after, after[place], within) & reached(before, before[place], within)


def instructions_per_warpgroup_mma(pairs, arch, products):
    """Of the smallest loop with the most of these: all from which a way leads to one of them and back. The compiler puts
    waits for barriers behind the kernel's end, and all that lies between would count as a part of the loop. Of a loop
    around another one with all of the products, which works on tile after tile, only that counts: what is left of it
    without the places where it is entered."""
    after, before = [[] for _ in pairs], [[] for _ in pairs]
    for i, (word, rest) in enumerate(pairs):
        operation, always = word & 0xFFF, word >> 12 & 0xF == ALWAYS
        targets = [i + 1 + branch(word, arch)] if operation == BRANCH else []
        # A branch has a second predicate, and may be one that only diverging warps take.
        if not always or operation != EXIT and (operation != BRANCH or rest >> 23 & 0x1F != ALWAYS):
            targets.append(i + 1)
        for target in targets:
            if 0 <= target < len(pairs):
                after[i].append(target)
                before[target].append(i)
    most, main, left, everywhere = 0, set(), products, range(len(pairs))
    while left:
        loop = loop_around(after, before, left[0], everywhere)
        mma = sum(i in loop for i in left)
        if mma > most:
            most, main = mma, loop
        left = [i for i in left[1:] if i not in loop]
    while most > 0:
        inside = {i for i in main if i > 0 and all(place in main for place in before[i])}
        first = next(i for i in products if i in main)
        inner = loop_around(after, before, first, inside)
        if len(inner) == len(main) or sum(i in inner for i in products) < most:
            break
        main = inner
    return len(main) / most if most > 0 else None


def instructions_per_mma(code, arch):
    """Of the loop with the most mma: what lies between a place that a branch goes back to and that branch. What the
    compiler moved out of the middle of a loop overlaps it, and counts."""
    pairs = list(struct.iter_unpack("<QQ", code))
    words = [word for word, _ in pairs]
    products = [i for i, word in enumerate(words) if is_warpgroup_mma(word)]
    if products:
        return instructions_per_warpgroup_mma(pairs, arch, products)
    loops = sorted((i + 1 + branch(word, arch), i + 1) for i, word in enumerate(words)
                   if word & 0xFFF == BRANCH and branch(word, arch) < -1)
    merged = []
    for first, end in loops:
        if merged and first < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([first, end])
    mma = lambda loop: sum(word & 0xFFF in MMA for word in words[loop[0]:loop[1]])
    main = max(merged, key=mma, default=[0, 0])
    return (main[1] - main[0]) / mma(main) if mma(main) else None


def kernels_of(path):
    """All kernels of an object, for all its architectures."""
    with open(path, "rb") as file:
        data = file.read()
    found = []
    for arch, start in cubins(data):
        parts = list(sections(data, start))
        kernels, symbols = {}, []
        for name, offset, size, link in parts:
            if name.startswith(".nv.info."):
                kernels[name[9:]] = Kernel(name[9:], arch)
            if name == ".symtab":
                text = parts[link][1]
                for i in range(size // 24):
                    at, = struct.unpack_from("<I", data, offset + 24 * i)
                    symbols.append(data[text + at:data.index(b"\0", text + at)].decode())
        for name, offset, size, _ in parts:
            if name == ".nv.info":
                for attribute, value in attributes(data, offset, size):
                    if attribute not in (REGISTERS, FRAME, STACK):
                        continue
                    symbol, number = struct.unpack("<II", value)
                    # A function that is called is a part of whoever calls it: its frame counts in
                    # the caller's stack.
                    kernel = kernels.get(symbols[symbol])
                    if kernel is None:
                        continue
                    if attribute == REGISTERS:
                        kernel.registers = number
                    else:
                        kernel.stack = max(kernel.stack, number)
            elif name.startswith(".nv.info."):
                for attribute, value in attributes(data, offset, size):
                    if attribute == MAX_THREADS:
                        x, y, z = struct.unpack("<III", value)
                        kernels[name[9:]].threads = x * y * z
            elif name.startswith(".text.") and name[6:] in kernels:
                kernels[name[6:]].per_mma = instructions_per_mma(data[offset:offset + size], arch)
            elif name.startswith(".nv.shared.") and name[11:] in kernels:
                kernel = kernels[name[11:]]
                kernel.shared = size - (SYSTEM_SHARED if kernel.arch >= 90 else 0)
        for kernel in kernels.values():
            if kernel.registers == 0:
                raise ValueError(f"{path}: no register count for {kernel.symbol}")
        found += kernels.values()
    return found


def readable(symbols):
    """symbol -> the kernel's name with its template arguments, without namespaces and parameters:
    the part that is the same on every machine."""
    symbols = sorted(set(symbols))
    text = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    return dict(zip(symbols, map(short, text.splitlines())))


def short(name):
    name = name.replace("(anonymous namespace)::", "").removeprefix("void ")
    name = re.sub(r"\b(?:\w+::)+(?=\w)|\((?:unsigned )?(?:int|long|bool)\)", "", name)
    name = re.sub(r"\b(\d+)ul?\b", r"\1", name).replace("> >", ">>").replace("> >", ">>")
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return name[:i]
    return name


def kernels_of_build(build, source):
    """All kernels of kernels/cuda, each with its `name`, which begins with its file's."""
    folder = pathlib.Path(build) / "kernels/cuda/CMakeFiles"
    found = []
    for path in sorted(folder.glob("pixeldp_cuda*.dir/**/*.cu.o")):
        file = pathlib.Path(*path.relative_to(folder).parts[1:]).with_suffix("")
        if not (pathlib.Path(source) / "kernels/cuda" / file).exists():
            continue  # left over from a file that was removed
        for kernel in kernels_of(path):
            kernel.file = str(file.with_suffix(""))
            found.append(kernel)
    if not found:
        raise ValueError(f"{folder} holds no CUDA kernels: build the target pixeldp_cuda, with nvcc")
    names = readable(kernel.symbol for kernel in found)
    for kernel in found:
        kernel.name = f"{kernel.file}: {names[kernel.symbol]}"
    return found


def cases_of_build(build):
    """The cases of bench/cuda/kernel_cases.cpp with their launches."""
    program = pathlib.Path(build) / "bench/bench_kernel_cases"
    if not program.exists():
        raise ValueError(f"there is no {program}: build the target bench_kernel_cases, with nvcc")
    done = subprocess.run([program], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"{program}: {done.stderr.strip()}")
    return json.loads(done.stdout)
