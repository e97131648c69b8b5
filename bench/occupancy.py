"""How many blocks of a kernel a multiprocessor holds at a time, and what A100 and H100 can do.

The limits are those of NVIDIA's CUDA programming guide ("Compute Capabilities"), the rounding that of
its occupancy calculator: registers are given to warps in units of 256, out of a quarter of the
multiprocessor's for each of its four schedulers; shared memory in units of 128 bytes, 1 KB more than a
block asks for.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Rates per second at the clock that NVIDIA's data sheets assume: operations (dense; a
    multiply-addition is two), bytes of memory, instructions of warps (one per clock and scheduler)."""

    name: str
    arch: int
    shared: int
    multiprocessors: int
    clock: float
    peaks: dict
    bandwidth: float

    @property
    def issue(self):
        return self.multiprocessors * SCHEDULERS * self.clock


WARP, MOST_WARPS, MOST_BLOCKS, REGISTERS, SCHEDULERS = 32, 64, 32, 65536, 4
REGISTER_UNIT, SHARED_UNIT, SYSTEM_SHARED = 256, 128, 1024
GPUS = [
    Gpu("A100-SXM 80GB", 80, 164 * 1024, 108, 1.41e9,
        {"int8": 624e12, "bf16": 312e12, "tf32": 156e12, "fp32": 19.5e12}, 2039e9),
    Gpu("H100-SXM", 90, 228 * 1024, 132, 1.83e9,
        {"int8": 1979e12, "bf16": 989e12, "tf32": 494e12, "fp32": 67e12}, 3352e9),
]


def round_up(value, unit):
    return -(-value // unit) * unit


def blocks_per_multiprocessor(gpu, registers, threads, shared):
    """0: the block does not fit. registers of a thread, threads and bytes of shared memory of a block."""
    warps = -(-threads // WARP)
    limits = [MOST_BLOCKS, MOST_WARPS // warps]
    limits.append(gpu.shared // round_up(shared + SYSTEM_SHARED, SHARED_UNIT))
    if registers > 0:
        of_warp = round_up(registers * WARP, REGISTER_UNIT)
        limits.append(REGISTERS // SCHEDULERS // of_warp * SCHEDULERS // warps)
    return min(limits)


def occupancy(gpu, registers, threads, shared):
    """Resident warps of those that there is room for."""
    warps = -(-threads // WARP)
    return blocks_per_multiprocessor(gpu, registers, threads, shared) * warps / MOST_WARPS


def roofline(gpu, unit, operations, nbytes):
    """The least seconds, and what takes them: "memory" or the unit of the operations."""
    limits = {"memory": nbytes / gpu.bandwidth}
    if unit in gpu.peaks:
        limits[unit] = operations / gpu.peaks[unit]
    limit = max(limits, key=limits.get)
    return limits[limit], limit
