#!/usr/bin/env python3
"""Seeds bugs in kernels, plans and bounds, one at a time, and tells which of them the tests catch.

    tests/mutations/run.py [--build FOLDER] [--sample N] [--seed S] [--kind KIND] [--list] [--whole]

A bug is a change by rule to one line (RULES). The changed file lies in a folder of its own, in front of the
sources for the compiler: the sources are never touched. What includes it is compiled and linked in front of the
libraries of a build that is up to date, and the tests beside the kernel run (TESTS); --whole runs all of them.
A bug is caught when a test fails, crashes or takes ten times as long as it may. A full run takes hours; --sample
takes so many of each kind at random.

Prints each bug, and at the end a table in Markdown: seeded and caught, by kind.
"""
import argparse
import collections
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 300  # for the tests of one bug

KERNELS = ["kernels/cuda/*.cu", "kernels/cuda/*.cuh"]
PLANS = ["kernels/cuda/*_plan.cpp"]
FORMULAS = ["kernels/formulas/*.hpp"]


def sub(pattern, to):
    """A rule that replaces one match of the pattern in a line."""
    compiled = re.compile(pattern)
    return lambda line: [line[:m.start()] + m.expand(to) + line[m.end():] for m in compiled.finditer(line)]


# kind: files, rules (line -> changed lines)
RULES = {
    "barrier": (KERNELS, [sub(r"__sync(threads|warp)\(\);", ";"),
                          sub(r"ptx::cp_async_wait<ahead - 1>\(\);", "ptx::cp_async_wait<ahead>();")]),
    "index": (KERNELS, [sub(r"(?<!operator)\[((?:first|row|thread|lane|c|i|e|r)\b[^\]\[{]*)\]", r"[\1 + 1]"),
                        sub(r"\b(threadIdx\.x)( [%/])", r"(\1 + 1)\2")]),
    "past the end": (KERNELS, [sub(r"(\w+) < (rows|elements|size|classes|columns|channels|values|width|left|end)\b",
                                   r"\1 <= \2"),
                               sub(r"if \((\w+) >= (\w+(?:\.\w+)*)\) return", r"if (\1 > \2) return")]),
    "fragment": (KERNELS, [sub(r"lane / 4\b", "lane % 4"), sub(r"lane % 4\b(?! /)", "lane / 8"),
                           sub(r"lane % 16", "lane % 8"), sub(r"lane / 16", "lane / 8 % 2")]),
    "32-bit offset": (KERNELS, [sub(r"std::int64_t\{([^{}]*)\}", r"static_cast<int>(\1)"),
                                sub(r"const std::int64_t (\w+) = ([^;,]*);", r"const int \1 = static_cast<int>(\2);")]),
    "guard": (PLANS, [sub(r"> (most\w*)", r"> 2 * \1"), sub(r"> (most\w*)", r">= \1"),
                      sub(r"\|\| (\w+(?:\.\w+)* > \w+)", r"|| (false && \1)"),
                      sub(r"constexpr std::int64_t (most\w*) = ([^,;]+);", r"constexpr std::int64_t \1 = 2 * (\2);")]),
    "alignment": (PLANS, [sub(r"% 16\b", "% 8"), sub(r"% 4 == 0", "% 2 == 0"),
                          sub(r"address\((\w+(?:\.\w+)*)\) \| ", "")]),
    "atomic": (KERNELS, [sub(r"atomicAdd\((.+), (\w+)\);", r"*(\1) += \2;"),
                         sub(r"atomicMin\((.+), (static_cast<.*)\);$", r"{ const auto p = \1; const auto v = \2; if (v < *p) *p = v; }")]),
    "order": (KERNELS, [sub(r"for \(int bits = 16; bits > 0; bits /= 2\)", "for (int bits = 1; bits < 32; bits *= 2)"),
                        sub(r"for \(unsigned split = 1; split < plan\.splits; \+\+split\)",
                            "for (unsigned split = plan.splits; --split > 0;)"),
                        sub(r"for \((std::int64_t|int) (\w+) = (lane|warp); \2 < ([\w.]+); \2 \+= (\w+)\)",
                            r"for (\1 \2 = \4 - 1 - (\4 - 1 - \3) % \5; \2 >= \3; \2 -= \5)")]),
    "edge": (KERNELS + FORMULAS, [sub(r"(\w) > (0\.0f?\b|0\.5|\w+\.\w+\b)(?![\w(])", r"\1 >= \2"),
                                  sub(r"(\w) <= (\w)", r"\1 < \2"), sub(r"\bk == draws", "k == draws - 1"),
                                  sub(r"draws < 2\b", "draws < 3")]),
    "formula": (FORMULAS, [sub(r" \+ (?=[a-z(\d])", " - "), sub(r"\b2\.0 \*", "2.5 *"), sub(r"std::fma\(", "-std::fma(")]),
    "margin": (["kernels/formulas/bounds.hpp", "kernels/formulas/special_functions.hpp"],
               [sub(r"\* (bound_up|bound_down|\w+_up|\w+_down)\b", ""), sub(r"(\d+(?:\.\d+)?) \* unit_roundoff", "0.0 * unit_roundoff"),
                sub(r"(\d)e-1(\d)", r"\1e-2\2")]),
    "bank": (KERNELS, [sub(r" \^ \((?:[^()]|\([^()]*\))*\)", ""), sub(r"\[width \+ 1\]", "[width]"),
                       sub(r"/ 32 \* 32 \+ 16", "/ 32 * 32 + 32"), sub(r"S::hidden \+ 8\b", "S::hidden")]),
}

# Test files beside a kernel, by the beginning of its file's name; and those that look at all kernels.
TESTS = {
    "bounds": ["bounds", "printed", "perturbed", "radii", "score_bounds"],
    "elementwise": ["training_emulated"], "loss": ["training_emulated"], "sgd": ["training_emulated"],
    "four": ["training_emulated"], "scaling": ["pooling_emulated"],
    "fragments": ["multi_draw", "noisy_convolution"], "warp_products": ["convolution_gemm", "convolution_weight"],
    "ordered_sum": ["slice_norms", "ball_emulated"],
    "warp_sum": ["standardise", "training_emulated", "parseval_emulated", "column_sums"],
    "draw_statistics": ["draw_statistics", "multi_draw_emulated"], "noise": ["noise", "noisy", "multi_draw_emulated"],
    "convolution_operands": ["convolution_gemm"], "special_functions": ["bounds", "printed", "perturbed", "radii", "score_bounds"],
    "statistics": ["draw_statistics"], "elementary": ["noise", "draw_statistics"], "lane": ["noise", "draw_statistics"],
    "stream_scratch": ["device_runtime", "convolution_devices"], "packed_convolution": ["convolution_devices"],
    "device_plan": ["network_plan", "convolution_devices", "int8_plan"],
    "convolution_gemm": ["convolution_gemm", "convolution_int8"], "epilogues": ["convolution_int8", "convolution_wgmma"],
    "convolution_int8": ["convolution_int8", "int8_plan"], "int8_values": ["int8_values", "int8_plan"],
    "to_bytes": ["convolution_int8", "int8_values"], "int8_epilogue": ["convolution_int8"],
    "multi_draw_layers": ["multi_draw"], "multi_draw_work": ["multi_draw"], "multi_draw_features": ["multi_draw"],
    "multi_draw_cluster_layers": ["multi_draw_cluster"],
}
EVERY_KERNEL = ["alignment", "far_offsets", "int8_limits", "sum_order", "plan_limits", "arch_test"]

Bug = collections.namedtuple("Bug", "kind file number before after")


def bugs(kinds):
    for kind in kinds:
        files, rules = RULES[kind]
        for file in sorted(path for pattern in files for path in ROOT.glob(pattern)):
            for number, line in enumerate(file.read_text().splitlines()):
                code = line.split("//")[0].rstrip()
                if code.lstrip().startswith(("#", "static_assert", "template")) or not code.strip():
                    continue
                seen = {code}
                for rule in rules:
                    for changed in rule(code):
                        if changed not in seen:
                            seen.add(changed)
                            yield Bug(kind, file.relative_to(ROOT), number, line, changed)


class Build:
    def __init__(self, folder):
        self.folder = folder.resolve()
        self.formulas = {path.relative_to(ROOT) for pattern in FORMULAS for path in ROOT.glob(pattern)}
        self.programs = [p for p in ("test_margins", "test_kernels") if (self.folder / "tests" / p).exists()]
        if not self.programs:
            sys.exit(f"{folder} has no tests/test_kernels: build it first, or name another folder by --build")
        self.compile = {}  # source -> (object, command)
        self.link = {}
        for line in self.ninja("-t", "commands", *self.programs).splitlines():
            words = shlex.split(line)
            if any(word.endswith("nvcc") for word in words):
                continue  # the same source for a GPU
            if "-c" in words and "-o" in words:
                source = pathlib.Path(words[words.index("-c") + 1])
                if ROOT in source.parents:
                    self.compile[source.relative_to(ROOT)] = words
            for program in self.programs:
                if words[-1:] != [] and f"tests/{program}" in words and "-c" not in words:
                    self.link[program] = line
        self.users = collections.defaultdict(set)  # file -> sources that include it
        source = None
        for line in self.ninja("-t", "deps").splitlines():
            if not line.startswith(" "):
                source = None
                continue
            path = pathlib.Path(line.strip())
            path = path if path.is_absolute() else (self.folder / path).resolve()
            source = source or path
            if ROOT in path.parents and ROOT in source.parents:
                self.users[path.relative_to(ROOT)].add(source.relative_to(ROOT))

    def ninja(self, *arguments):
        return subprocess.run(["ninja", "-C", self.folder, *arguments], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def with_bug(self, bug, overlay):
        """The programs with the bug in them; None where it does not compile."""
        file = overlay / bug.file
        file.parent.mkdir(parents=True)
        lines = (ROOT / bug.file).read_text().splitlines()
        lines[bug.number] = bug.after
        file.write_text("\n".join(lines) + "\n")
        objects = {}  # the old one -> the one with the bug
        # Kernels and, of formulas, the bounds and radii that are held against 50 digits; what else a test includes is
        # compared with these.
        places = [("kernels",)] + ([("pixeldp",), ("tests", "margins")] if bug.file in self.formulas else [])
        users = [u for u in self.users[bug.file] if u in self.compile and any(u.parts[:len(p)] == p for p in places)]
        for i, source in enumerate(sorted(users)):
            words = list(self.compile[source])
            object_file = overlay / f"{i}.o"
            changed = overlay / source if source == bug.file else ROOT / source
            words[words.index("-c") + 1] = str(changed)
            old = words[words.index("-o") + 1]
            words[words.index("-o") + 1] = str(object_file)
            words.insert(words.index("-c"), f"-I{overlay}")
            first = next(k for k, word in enumerate(words) if word.startswith("-I"))
            words.insert(first, f"-I{overlay}")
            for flag in ("-MF", "-MT"):
                if flag in words:
                    words[words.index(flag) + 1] = str(overlay / f"{i}.d")
            if subprocess.run(words, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
                return None
            objects[old] = str(object_file)
        programs = []
        for program in self.programs:
            if program == "test_margins" and bug.file not in self.formulas:
                continue
            target = overlay / program
            command, own = self.link[program], []
            for old, new in objects.items():
                if f" {old} " in command:
                    command = command.replace(f" {old} ", f" {new} ")
                elif not old.startswith("tests/"):
                    own.append(new)  # in front of the library that has the old one
            command = command.replace(f"-o tests/{program} ", f"-o {target} {' '.join(own)} ", 1)
            # Where a library is linked as a whole its own object would be there twice.
            command = command.replace("-o ", "-Wl,--allow-multiple-definition -o ", 1)
            subprocess.run(command, shell=True, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
            programs.append(target)
        return programs


def tests_of(file):
    stem = file.name.split(".")[0].removesuffix("_plan")
    names = TESTS.get(stem, [stem])
    return [f"*{name}*" for name in [*names, stem, *EVERY_KERNEL]]


def is_caught(program, bug, whole):
    whole = whole or program.name == "test_margins"
    command = [program] + ([] if whole else ["-sf=" + ",".join(tests_of(bug.file))]) + ["--abort-after=1"]
    try:
        return subprocess.run(command, cwd=ROOT, timeout=SECONDS, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--sample", type=int, help="so many bugs of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--kind", choices=RULES, action="append")
    parser.add_argument("--list", action="store_true", help="the bugs, without a run")
    parser.add_argument("--whole", action="store_true", help="run all tests on each")
    options = parser.parse_args()

    kinds = options.kind or list(RULES)
    chosen, generator = [], random.Random(options.seed)
    for kind in kinds:
        of_kind = list(bugs([kind]))
        if options.sample is not None:
            of_kind = generator.sample(of_kind, min(options.sample, len(of_kind)))
        chosen += of_kind
    if options.list:
        for bug in chosen:
            print(f"{bug.kind:14} {bug.file}:{bug.number + 1}: {bug.before.strip()}  ->  {bug.after.strip()}")
        return

    build = Build(options.build)
    build.ninja(*build.programs)
    seeded, caught = collections.Counter(), collections.Counter()
    for bug in chosen:
        overlay = pathlib.Path(tempfile.mkdtemp(prefix="pixeldp-mutation-"))
        try:
            programs = build.with_bug(bug, overlay)
            outcome = "does not compile"
            if programs is not None:
                seeded[bug.kind] += 1
                outcome = "caught" if any(is_caught(p, bug, options.whole) for p in programs) else "ESCAPED"
                caught[bug.kind] += outcome == "caught"
        finally:
            shutil.rmtree(overlay)
        print(f"{outcome:16} {bug.kind:14} {bug.file}:{bug.number + 1}: {bug.before.strip()}  ->  {bug.after.strip()}",
              flush=True)

    print("\n| kind | seeded | caught | share |\n|---|---|---|---|")
    for kind in kinds:
        if seeded[kind]:
            print(f"| {kind} | {seeded[kind]} | {caught[kind]} | {100 * caught[kind] / seeded[kind]:.0f} % |")
    if total := seeded.total():
        print(f"| all | {total} | {caught.total()} | {100 * caught.total() / total:.0f} % |")


if __name__ == "__main__":
    main()
