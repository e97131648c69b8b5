#!/usr/bin/env python3
"""The figures of bench/kernels.py and the comparison of tests/kernel_budgets.py, on known answers."""

import pathlib
import struct
import sys
import types
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests")]
import cubin
import kernel_budgets
import occupancy

A100, H100 = occupancy.GPUS


class Occupancy(unittest.TestCase):
    def blocks(self, gpu, registers, threads, shared):
        return occupancy.blocks_per_multiprocessor(gpu, registers, threads, shared)

    def test_examples_of_nvidias_guides(self):
        # Best practices guide, "Calculating Occupancy": 37 registers, 65536 in all.
        self.assertEqual(occupancy.occupancy(A100, 37, 128, 0), 0.75)
        self.assertEqual(self.blocks(A100, 37, 128, 0), 12)
        self.assertEqual(occupancy.occupancy(A100, 37, 320, 0), 0.625)
        self.assertEqual(self.blocks(A100, 37, 320, 0), 4)
        # Programming guide: two blocks of 512 threads at 64 registers, but one at 65.
        self.assertEqual(self.blocks(A100, 64, 512, 0), 2)
        self.assertEqual(self.blocks(A100, 65, 512, 0), 1)

    def test_nvidias_calculator(self):
        # registers, threads, shared memory; blocks on sm_80 and on sm_90, as cuda_occupancy.h has them.
        for registers, threads, shared, ampere, hopper in [
                (250, 128, 67072, 2, 2), (164, 128, 50688, 3, 3), (47, 256, 5860, 5, 5), (88, 128, 0, 5, 5),
                (255, 1024, 0, 0, 0), (32, 1024, 0, 2, 2), (24, 64, 0, 32, 32), (128, 256, 100000, 1, 2),
                (96, 128, 33536, 4, 5), (16, 32, 0, 32, 32), (128, 32, 164864, 1, 1), (40, 96, 7000, 16, 16),
                (128, 128, 165000, 1, 1), (61, 224, 3000, 4, 4)]:
            with self.subTest(registers=registers, threads=threads, shared=shared):
                self.assertEqual(self.blocks(A100, registers, threads, shared), ampere)
                self.assertEqual(self.blocks(H100, registers, threads, shared), hopper)

    def test_most_shared_memory_of_a_block(self):
        for gpu, kilobytes in (A100, 163), (H100, 227):
            self.assertEqual(self.blocks(gpu, 32, 128, kilobytes * 1024), 1)
            self.assertEqual(self.blocks(gpu, 32, 128, kilobytes * 1024 + 1), 0)

    def test_roofline(self):
        self.assertEqual(occupancy.roofline(A100, "bf16", 312e12, 1e9), (1.0, "bf16"))
        self.assertEqual(occupancy.roofline(H100, "int8", 1979e12, 1e9), (1.0, "int8"))
        self.assertEqual(occupancy.roofline(H100, "fp32", 1.0, 3352e9), (1.0, "memory"))
        self.assertEqual(occupancy.roofline(A100, "mixed", 0.0, 2039e9), (1.0, "memory"))

    def test_peaks_follow_from_the_clock(self):
        for gpu, tensor_operations in (A100, 2048), (H100, 4096):
            rate = gpu.multiprocessors * gpu.clock * tensor_operations
            self.assertAlmostEqual(rate / gpu.peaks["bf16"], 1.0, delta=0.005)


class Names(unittest.TestCase):
    def test_short(self):
        scope = "pixeldp::kernels::cuda::(anonymous namespace)::"
        for name, expected in [
                (f"void {scope}f<{scope}TileOf<3ul>, float>(pixeldp::kernels::Plan, float*)", "f<TileOf<3>, float>"),
                (f"void {scope}g<(int)32, pixeldp::kernels::Relu, (bool)1>(void (*)(int))", "g<32, Relu, 1>"),
                (f"void {scope}h<{scope}S<{scope}T<2ul> > >(int)", "h<S<T<2>>>"),
                (f"{scope}plain(long, float const*)", "plain")]:
            self.assertEqual(cubin.short(name), expected)


class MachineCode(unittest.TestCase):
    def code(self, arch, *instructions):
        """Instructions by their words, or by how many a branch skips."""
        words = []
        for one in instructions:
            if isinstance(one, tuple):
                distance = one[0] * 4
                one = ((distance & (1 << 30) - 1) << 34 if arch < 90 else
                       (distance >> 8 & (1 << 30) - 1) << 34 | (distance & 0xFF) << 16) | cubin.BRANCH
            words.append(one)
        return b"".join(struct.pack("<QQ", word, 0) for word in words)

    def test_branches_as_nvcc_writes_them(self):
        for arch, word, skipped in [(80, 0x0000003000008947, 3), (90, 0x00000000000C8947, 3),
                                    (90, 0x0000001400880947, 0x162), (90, 0xFFFFFFF800F41947, -0x43)]:
            self.assertEqual(cubin.branch(word, arch), skipped)

    def test_loops(self):
        add = 0x210
        for arch, mma in [(arch, kind | 5 << 12) for arch in (80, 90) for kind in cubin.MMA]:
            per_mma = lambda *instructions: cubin.instructions_per_mma(self.code(arch, *instructions), arch)
            self.assertIsNone(per_mma(add, add, (-3,), (-1,)))
            self.assertIsNone(per_mma(add, mma, add, (-2,)))
            # The loop, not what is in front of it and behind.
            self.assertEqual(per_mma(add, add, mma, mma, (-4,), add, mma, (-1,)), 2.0)
            # A part of it was moved to its front: an inner branch goes there, and comes back.
            self.assertEqual(per_mma(add, add, mma, mma, (-3,), add, mma, mma, (-6,)), 7 / 4)
            # A loop around a smaller one counts as a whole.
            self.assertEqual(per_mma(add, add, mma, (-2,), add, add, add, (-8,)), 8.0)

    def test_products_of_warpgroups(self):
        add, always = 0x210, cubin.ALWAYS << 12
        mma, of_integers = (operation | 24 << 16 for operation in cubin.WARPGROUP_MMA)
        closing = cubin.WARPGROUP_MMA[0] | cubin.NO_REGISTER << 16
        per_mma = lambda *instructions: cubin.instructions_per_mma(self.code(90, *instructions), 90)
        self.assertEqual(per_mma(add, mma, mma, closing, (-5,)), 2.5)
        self.assertEqual(per_mma(add, of_integers, of_integers, closing, (-5,)), 2.5)
        self.assertIsNone(per_mma(add, closing, (-3,)))
        # What was moved behind the kernel's end counts, and nothing between.
        self.assertEqual(per_mma(add, (4,), mma, (-3,), add, cubin.EXIT | always, add, (-6,)), 5.0)
        self.assertIsNone(per_mma(add, mma, cubin.EXIT | always, (-3,)))
        self.assertEqual(per_mma(add, mma, cubin.EXIT, (-3,)), 3.0)
        # Of a loop around one with all products that only, with what is around some of them.
        self.assertEqual(per_mma(add, add, add, mma, mma, (-4,), add, (-7,)), 2.0)
        self.assertEqual(per_mma(add, add, mma, mma, (-2,), add, (-5,)), 2.5)


def kernel(name, arch, registers=32, stack=0, shared=0):
    return types.SimpleNamespace(name=name, symbol=name, arch=arch, registers=registers, stack=stack, shared=shared,
                                 per_mma=2.125 if name == "b: g" else None)


class Budgets(unittest.TestCase):
    def setUp(self):
        self.kernels = [kernel(name, arch) for name in ("a: f<1>", "a: f<2>", "b: g") for arch in (80, 90)]
        self.cases = [{"launches": [{"kernel": "a: f<1>", "shared": 10}, {"kernel": "b: g", "shared": 0}]},
                      {"launches": [{"kernel": "a: f<1>", "shared": 7}]}]

    def problems(self, budget=None):
        found, problems = kernel_budgets.measure(self.kernels, self.cases)
        return problems + kernel_budgets.compare(found, self.budget if budget is None else budget)

    @property
    def budget(self):
        return {"a: f<1>": [32, 32, 10, None, None], "a: f<2>": [32, 32, None, None, None], "b: g": [32, 32, 0, 2.13, 2.13]}

    def test_kept(self):
        self.assertEqual(self.problems(), [])
        self.kernels[0].registers = 31
        self.assertEqual(self.problems(), [])

    def test_written_and_read(self):
        found, _ = kernel_budgets.measure(self.kernels, self.cases)
        self.assertEqual(found, self.budget)
        self.assertEqual(kernel_budgets.read(kernel_budgets.write(found).splitlines()), found)

    def test_growth(self):
        self.kernels[1].registers = 33
        self.assertEqual(self.problems(), ["a: f<1>: sm_90 33, budget 32"])
        self.kernels[1].registers = 32
        self.cases[1]["launches"][0]["shared"] = 11
        self.assertEqual(self.problems(), ["a: f<1>: shared 11, budget 10"])

    def test_instructions(self):
        self.kernels[5].per_mma = 2.1301
        self.assertEqual(self.problems(), ["b: g: mma_90 2.14, budget 2.13"])

    def test_tiles(self):
        header = lambda *values: "tiles[] = {%s};" % ", ".join("{128, 64, 4, 2, 2, %s}" % v for v in values)
        for path, names in kernel_budgets.TILES.items():
            found = {}
            for name in names:
                found |= {name.format(0): [0, 0, 0, 2.25, 2.5], name.format(1): [0, 0, 0, 3.5, 3.0]}
            problems = lambda *values: kernel_budgets.check_tiles(found, path, header(*values))
            self.assertEqual(problems("2.5", "3.6"), [])
            self.assertIn("per_mma of tile 0 is 2.4, and a kernel of it has 2.50", problems("2.4", "3.6")[0])
            self.assertIn("per_mma of tile 1 is 4.0", problems("2.5", "4.0")[0])
            found[names[-1].format(1)][4] = 3.7
            self.assertIn("per_mma of tile 1 is 3.6, and a kernel of it has 3.70", problems("2.5", "3.6")[0])
            # All tiles of the header are there.
            self.assertRaises(KeyError, kernel_budgets.check_tiles, {}, path, (ROOT / path).read_text())

    def test_most(self):
        found = {name: [0, 0, 0, 2.8, 2.5] for name in kernel_budgets.AT_128_X_128}
        self.assertEqual(kernel_budgets.check_most(found), [])
        found[kernel_budgets.AT_128_X_128[1]][4] = 2.81
        self.assertIn("mma_90 2.81, more than 2.8", kernel_budgets.check_most(found)[0])

    def test_spill(self):
        self.kernels[4].stack = 8
        self.assertIn("b: g, sm_80: 8 bytes of stack", self.problems()[0])

    def test_missing_and_stale(self):
        budget = self.budget
        budget["c: h"] = budget.pop("b: g")
        self.assertEqual(self.problems(budget), ["b: g: no budget", "c: h: a budget but no such kernel"])

    def test_no_case(self):
        del self.cases[0]["launches"][1]
        self.assertIn("b: g: launched by no case", self.problems()[0])


if __name__ == "__main__":
    unittest.main()
