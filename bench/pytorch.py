#!/usr/bin/env python3
"""Times noisy draws of the networks that bench times, in PyTorch.

Random weights, one image of random pixels, inference_mode, channels-last. As the engine does, it runs the first
convolution once per image, makes noise and all before it in fp32, folds batch normalisations into the convolutions
before them, and counts the votes. One line per network, precision and way to run; with --json one JSON object. With
--serve it is bench that says what to time, and when. With --device it times what `bench device` does, draws and
training steps in bf16, under the same names; --against FILE, the JSON of `bench device`, adds the ratio. PyTorch is not
needed for anything else: without it this says so and ends with status 77.
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
    """Pre-activated residual unit. Its second batch normalisation can be folded into the convolution before it."""

    def __init__(self, in_c, out_c, stride, activate_shortcut, folded):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_c, eps=1e-3)
        conv1, bn2 = nn.Conv2d(in_c, out_c, 3, stride, 1, bias=False), nn.BatchNorm2d(out_c, eps=1e-3)
        self.conv1 = fuse_conv_bn_eval(conv1.eval(), bn2.eval()) if folded else nn.Sequential(conv1, bn2)
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
    def __init__(self, depth, widening, classes=10, side=32, folded=True):
        super().__init__()
        self.image = (1, 3, side, side)
        self.prefix = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        units, in_c = [], 16
        for group in range(3):
            for block in range((depth - 4) // 6):
                out_c = (16 << group) * widening
                units.append(Unit(in_c, out_c, 2 if block == 0 and group > 0 else 1, not units, folded))
                in_c = out_c
        self.units = nn.Sequential(*units)
        self.bn = nn.BatchNorm2d(in_c, eps=1e-3)
        self.head = nn.Linear(in_c, classes)

    def forward(self, x):
        return self.head(functional.leaky_relu(self.bn(self.units(x)), 0.1).mean((2, 3)))


class MnistCnn(nn.Module):
    def __init__(self, side=28):
        super().__init__()
        self.image = (1, 1, side, side)
        self.prefix = nn.Conv2d(1, 32, 5, 2, 2, bias=False)
        self.conv2 = nn.Conv2d(32, 64, 5, 2, 2, bias=False)
        self.fc1 = nn.Linear(64 * (side // 4) ** 2, 1024)
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
        noise = torch.randn(self.rows, height, width, channels, device=x.device).permute(0, 3, 1, 2)  # channels-last
        scores = self.net(torch.add(x, noise, alpha=SCALE).to(self.kind))
        classes = torch.arange(scores.shape[1], device=x.device)
        return (scores.argmax(1, keepdim=True) == classes).sum(0)  # bincount makes a GPU wait for the processor


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


class DeviceDraws:
    """Draws of one image in bf16, as Case makes them, on a device."""

    def __init__(self, net, device, way, rows):
        self.x = torch.randn(net.image, device=device).to(memory_format=torch.channels_last)
        self.count, self.unit = rows, "draws/s"
        self.draws = Draws(net.eval(), torch.bfloat16, rows, True).eval().to(device, memory_format=torch.channels_last)
        if way == "compiled":
            self.draws.net = torch.compile(self.draws.net, mode="reduce-overhead" if device == "cuda" else None)

    def __call__(self):
        with torch.inference_mode():
            self.draws(self.x)


class DeviceTraining:
    """Training steps: the first convolution and the noise in fp32, products behind it in bf16."""

    def __init__(self, net, device, way, rows):
        self.net, self.device = net.train().to(device, memory_format=torch.channels_last), device
        self.x = torch.randn(rows, *net.image[1:], device=device).to(memory_format=torch.channels_last)
        self.labels = torch.randint(10, (rows,), device=device)
        self.count, self.unit = rows, "images/s"
        self.body = torch.compile(self.net) if way == "compiled" else self.net
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=2e-4)

    def __call__(self):
        x = self.net.prefix(self.x)
        x = x + SCALE * torch.randn_like(x)
        with torch.autocast(self.device, torch.bfloat16):
            scores = self.body(x)
        self.optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(scores.float(), self.labels).backward()
        self.optimiser.step()


def sample(device, calls, run):
    """Seconds of a call, of so many that follow each other."""
    if device != "cuda":
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / calls


def device_line(what, part, way, device, samples, make):
    """One line, in the form of `bench --json`, or with what "failed"."""
    line = {"part": part, "what": f"{what}, PyTorch {way}", "name": what, "invalid": ""}
    try:
        torch.manual_seed(1)
        if way == "compiled":
            torch.compiler.reset()
        run = make(way)
        for _ in range(3):
            run()
        calls = max(1, min(100, round(0.01 / sample(device, 1, run))))
        times = sorted(sample(device, calls, run) for _ in range(samples))
        quarter = samples // 4
        return line | {"unit": run.unit, "rate": run.count / statistics.median(times),
                       "low": run.count / times[-1 - quarter], "high": run.count / times[quarter]}
    except Exception as error:  # torch.compile needs a compiler, and memory may be short
        return line | {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def device_works(device, quick):
    """(part, name, what makes it) of all that `bench device` names so."""
    side = {"side": 8} if quick else {}
    mnist = lambda: MnistCnn(**side)
    wide = lambda depth, widening, folded: WideResnet(depth, widening, folded=folded, **side)
    networks = ((10, 1),) if quick else ((28, 10), (16, 4))
    yield ("draws", "MNIST CNN, bf16, draws", lambda way: DeviceDraws(mnist(), device, way, 2 if quick else 512))
    for depth, widening in networks:
        for rows in ((2,) if quick else (128, 512, 2048)):
            yield ("draws", f"WRN-{depth}-{widening}, bf16, micro-batch {rows}",
                   lambda way: DeviceDraws(wide(depth, widening, True), device, way, rows))
    images = 2 if quick else 128
    yield ("training", f"MNIST CNN, bf16, training step of {images} images",
           lambda way: DeviceTraining(mnist(), device, way, images))
    for depth, widening in networks:
        yield ("training", f"WRN-{depth}-{widening}, bf16, training step of {images} images",
               lambda way: DeviceTraining(wide(depth, widening, False), device, way, images))


def measure_device(o):
    if o.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: this PyTorch finds no GPU: --device cpu shows that everything runs")
    torch.backends.cudnn.allow_tf32 = False  # before the noise all is in fp32
    torch.backends.cudnn.benchmark = True
    ours = {}
    if o.against:
        try:
            with open(o.against, encoding="utf-8") as file:
                ours = {line["what"]: line["rate"] for line in json.load(file)["lines"]}
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"error: {o.against}: no JSON that `bench device --json` printed: {error!r}")
    name = torch.cuda.get_device_name() if o.device == "cuda" else "processor"
    if not o.json:
        print(f"PyTorch {torch.__version__} on {name}; the ratio is that of bench device to it")
    lines = []
    for way in ("eager", "compiled"):  # compiling takes long: what needs none comes first
        for part, what, make in device_works(o.device, o.quick):
            line = device_line(what, part, way, o.device, o.repetitions, make)
            if "rate" in line and what in ours:
                line |= {"bench_device": ours[what], "ratio": ours[what] / line["rate"]}
            lines.append(line)
            if not o.json:
                result = f"{line['rate']:12.1f} {line['unit']}" if "rate" in line else "FAILED: " + line["failed"]
                ratio = f"  {line['ratio']:6.2f}" if "ratio" in line else ""
                print(f"{line['what']:<62} {result}{ratio}", flush=True)
    failed = [line for line in lines if "failed" in line]
    if o.json:
        print(json.dumps({"device": name, "torch": torch.__version__,
                          "lines": [line for line in lines if "rate" in line], "failed": failed}))
    if failed:
        sys.exit(1)


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
    parser.add_argument("--device", choices=("cuda", "cpu"), help="time what `bench device` does, on this device")
    parser.add_argument("--quick", action="store_true", help="with --device: the smallest shapes")
    parser.add_argument("--against", metavar="FILE", help="with --device: the JSON of `bench device`, for ratios")
    o = parser.parse_args()
    if (o.depth - 4) % 6 or o.depth < 10:
        parser.error("the depth must be 6 n + 4, at least 10")
    if o.device:
        return measure_device(o)
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
