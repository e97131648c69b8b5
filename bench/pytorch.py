#!/usr/bin/env python3
"""Times noisy draws of the networks that bench times, in PyTorch on the processor.

Random weights, one image of random pixels, inference_mode, channels-last. As the engine does, it runs the first
convolution once per image, makes noise and all before it in fp32, folds batch normalisations into the convolutions
before them, and counts the votes. One line per network, precision and way to run; with --json one JSON object. With
--serve it is bench that says what to time, and when. PyTorch is not needed for anything else: without it this says so
and ends with status 77.
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
    from torch.nn.utils.fusion import fuse_conv_bn_eval
except ImportError:
    if "--serve" not in sys.argv:
        print("PyTorch is not installed, so there is nothing to compare with: see https://pytorch.org", file=sys.stderr)
    sys.exit(77)

SCALE = 0.2537


class Unit(nn.Module):
    """Pre-activated residual unit. Its second batch normalisation is folded into the convolution before it."""

    def __init__(self, in_c, out_c, stride, activate_shortcut):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_c, eps=1e-3)
        self.conv1 = fuse_conv_bn_eval(nn.Conv2d(in_c, out_c, 3, stride, 1, bias=False).eval(),
                                       nn.BatchNorm2d(out_c, eps=1e-3).eval())
        self.conv2 = nn.Conv2d(out_c, out_c, 3, 1, 1, bias=False)
        self.stride, self.more, self.activate_shortcut = stride, (out_c - in_c) // 2, activate_shortcut

    def forward(self, x):
        a = functional.leaky_relu(self.bn1(x), 0.1)
        around = a if self.activate_shortcut else x
        if self.stride > 1:
            around = functional.avg_pool2d(around, self.stride)
        if self.more:
            around = functional.pad(around, (0, 0, 0, 0, self.more, self.more))
        return self.conv2(functional.leaky_relu(self.conv1(a), 0.1)) + around


class WideResnet(nn.Module):
    def __init__(self, depth, widening, classes=10):
        super().__init__()
        self.image = (1, 3, 32, 32)
        self.prefix = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        units, in_c = [], 16
        for group in range(3):
            for block in range((depth - 4) // 6):
                out_c = (16 << group) * widening
                units.append(Unit(in_c, out_c, 2 if block == 0 and group > 0 else 1, not units))
                in_c = out_c
        self.units = nn.Sequential(*units)
        self.bn = nn.BatchNorm2d(in_c, eps=1e-3)
        self.head = nn.Linear(in_c, classes)

    def forward(self, x):
        return self.head(functional.leaky_relu(self.bn(self.units(x)), 0.1).mean((2, 3)))


class MnistCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = (1, 1, 28, 28)
        self.prefix = nn.Conv2d(1, 32, 5, 2, 2, bias=False)
        self.conv2 = nn.Conv2d(32, 64, 5, 2, 2, bias=False)
        self.fc1 = nn.Linear(64 * 7 * 7, 1024)
        self.head = nn.Linear(1024, 10)

    def forward(self, x):
        x = functional.relu(self.conv2(functional.relu(x)))
        return self.head(functional.relu(self.fc1(x.flatten(1))))


class Draws(nn.Module):
    """The votes of some draws of an image; without noise, the scores of a batch that has its noise already."""

    def __init__(self, net, kind, rows, noise):
        super().__init__()
        self.prefix, self.net = net.prefix, net.to(kind)
        self.prefix = self.prefix.to(torch.float32)
        self.kind, self.rows, self.noise = kind, rows, noise

    def forward(self, x):
        if not self.noise:
            return self.net(x)
        x = self.prefix(x)
        _, channels, height, width = x.shape
        noise = torch.randn(self.rows, height, width, channels).permute(0, 3, 1, 2)  # which is channels-last
        scores = self.net(torch.add(x, noise, alpha=SCALE).to(self.kind))
        return torch.bincount(scores.argmax(1), minlength=scores.shape[1])


class Case:
    """A network with its rows in one precision, run in one way: "eager" or "compiled". Compiles and warms up."""

    def __init__(self, network, precision, way, rows, noise=True, depth=28, widening=10):
        torch.manual_seed(1)
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        net = (MnistCnn() if network == "mnist-cnn" else WideResnet(depth, widening)).eval()
        self.x, self.rows = torch.randn(net.image), rows
        with torch.inference_mode():
            if not noise:
                shape = net.prefix(self.x).shape
                self.x = torch.randn(rows, *shape[1:]).to(kind)
            self.x = self.x.to(memory_format=torch.channels_last)
            self.run = Draws(net, kind, rows, noise).eval().to(memory_format=torch.channels_last)
            if way == "compiled":  # but for the noise, which compiled code makes more slowly
                torch.compiler.reset()
                self.run.net = torch.compile(self.run.net, options={"freezing": True})
            for _ in range(3):
                self.run(self.x)

    def seconds(self):
        """Per row."""
        with torch.inference_mode():
            start = time.perf_counter()
            self.run(self.x)
            return (time.perf_counter() - start) / self.rows


def prepare(arguments):
    """A case, or why there is none: torch.compile needs a compiler, and not every version can compile everything."""
    try:
        return Case(**arguments), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".splitlines()[0]


def about():
    return {"torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads()}


def serve():
    """A line of JSON in, one out: {"prepare": arguments of a case} -> {"case": number}; {"run": number} -> {"seconds":
    of a row}; {"error": text} where that fails."""
    cases = []
    print(json.dumps(about()), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "prepare" in order:
            case, failure = prepare(order["prepare"])
            cases.append(case)
            answer = {"error": failure} if failure else {"case": len(cases) - 1}
        else:
            answer = {"seconds": cases[order["run"]].seconds()}
        print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=("wide-resnet", "mnist-cnn"), default="wide-resnet")
    parser.add_argument("--depth", type=int, default=28)
    parser.add_argument("--widening", type=int, default=10)
    parser.add_argument("--rows", type=int, default=16, help="draws that are evaluated together")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help="do what standard input says, for bench")
    o = parser.parse_args()
    if (o.depth - 4) % 6 or o.depth < 10:
        parser.error("the depth must be 6 n + 4, at least 10")
    torch.set_num_threads(o.threads)
    if o.serve:
        return serve()
    lines = []
    for precision in ("fp32", "bf16"):
        for way in ("eager", "compiled"):
            line = {"network": o.network, "precision": precision, "way": way, "rows": o.rows}
            if o.network == "wide-resnet":
                line |= {"depth": o.depth, "widening": o.widening}
            case, failure = prepare(line)
            if failure:
                line["failed"] = failure
            else:
                line["draws_per_second"] = 1 / statistics.median(case.seconds() for _ in range(o.repetitions))
            lines.append(line)
    report = about() | {"lines": lines}
    if o.json:
        print(json.dumps(report))
        return
    print(f"PyTorch {report['torch']}, {report['capability']}, {o.threads} threads, {o.rows} rows")
    for line in lines:
        result = f"{line['draws_per_second']:10.1f} draws/s" if "draws_per_second" in line else line["failed"]
        print(f"{line['network']:<12} {line['precision']:<5} {line['way']:<9} {result}")


if __name__ == "__main__":
    main()
