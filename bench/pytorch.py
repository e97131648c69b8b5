#!/usr/bin/env python3
"""Times the wide residual network that bench_throughput times, in PyTorch on the processor.

Random weights, random rows of pixels, channels-last, inference_mode, everything after the first
convolution (which the engine runs once per image). One line per precision and way to run; with
--json one JSON object. PyTorch is not needed for anything else: without it this says so and ends
with status 77.
"""
import argparse
import json
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    print("PyTorch is not installed, so there is nothing to compare with: see https://pytorch.org", file=sys.stderr)
    sys.exit(77)


class Unit(nn.Module):
    def __init__(self, in_c, out_c, stride, activate_shortcut):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_c, eps=1e-3)
        self.conv1 = nn.Conv2d(in_c, out_c, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_c, eps=1e-3)
        self.conv2 = nn.Conv2d(out_c, out_c, 3, 1, 1, bias=False)
        self.stride, self.more, self.activate_shortcut = stride, (out_c - in_c) // 2, activate_shortcut

    def forward(self, x):
        a = functional.leaky_relu(self.bn1(x), 0.1)
        around = a if self.activate_shortcut else x
        if self.stride > 1:
            around = functional.avg_pool2d(around, self.stride)
        if self.more:
            around = functional.pad(around, (0, 0, 0, 0, self.more, self.more))
        return self.conv2(functional.leaky_relu(self.bn2(self.conv1(a)), 0.1)) + around


class Body(nn.Module):
    """What follows the noise, up to the class scores."""

    def __init__(self, depth, widening, classes=10):
        super().__init__()
        units, in_c = [], 16
        for group in range(3):
            for block in range((depth - 4) // 6):
                out_c = (16 << group) * widening
                units.append(Unit(in_c, out_c, 2 if block == 0 and group > 0 else 1, not units))
                in_c = out_c
        self.units = nn.Sequential(*units)
        self.bn = nn.BatchNorm2d(in_c, eps=1e-3)
        self.fc = nn.Linear(in_c, classes)

    def forward(self, x):
        return self.fc(functional.leaky_relu(self.bn(self.units(x)), 0.1).mean((2, 3)))


def rate(model, x, repetitions):
    """Rows per second: the median of timed runs after two that warm up."""
    times = []
    with torch.inference_mode():
        for i in range(repetitions + 2):
            start = time.perf_counter()
            model(x)
            if i >= 2:
                times.append(time.perf_counter() - start)
    return x.shape[0] / statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=28)
    parser.add_argument("--widening", type=int, default=10)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    o = parser.parse_args()
    if (o.depth - 4) % 6 or o.depth < 10:
        parser.error("the depth must be 6 n + 4, at least 10")
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    lines = []
    for kind in (torch.float32, torch.bfloat16):
        plain = Body(o.depth, o.widening).eval().to(kind).to(memory_format=torch.channels_last)
        x = torch.randn(o.rows, 16, 32, 32).to(kind).to(memory_format=torch.channels_last)
        for way in ("eager", "compiled"):
            line = {"network": f"WRN-{o.depth}-{o.widening}", "precision": str(kind).removeprefix("torch."), "way": way}
            try:
                line["draws_per_second"] = rate(plain if way == "eager" else torch.compile(plain), x, o.repetitions)
            except Exception as error:  # torch.compile needs a compiler, and not all versions can
                line["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
            lines.append(line)
    report = {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(),
              "threads": o.threads, "rows": o.rows, "lines": lines}
    if o.json:
        print(json.dumps(report))
        return
    print(f"PyTorch {report['torch']}, {report['capability']}, {o.threads} threads, {o.rows} rows")
    for line in lines:
        result = f"{line['draws_per_second']:10.1f} draws/s" if "draws_per_second" in line else line["failed"]
        print(f"{line['network']:<12} {line['precision']:<9} {line['way']:<9} {result}")


if __name__ == "__main__":
    main()
