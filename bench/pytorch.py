#!/usr/bin/env python3
"""Times in PyTorch what `bench device` does, draws and training steps in bf16, under the same names; and, with --part
attacks, the gradients of `bench attacks` in fp32.

Random weights, one image of random pixels, channels-last. As the engine does, it runs the first convolution once per
image, makes noise and all before it in fp32, folds batch normalisations into the convolutions before them, and counts
the votes. One line per network and way to run; with --json one JSON object; --against FILE, the JSON of `bench device`
or `bench attacks`, adds the ratio. PyTorch is not needed for anything else: without it this says so and ends with status 77.
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

    from networks import SCALE, MnistCnn, WideResnet
except ImportError:
    print("PyTorch is not installed, so there is nothing to compare with: see https://pytorch.org", file=sys.stderr)
    sys.exit(77)


class Draws(nn.Module):
    """The votes of some draws of an image."""

    def __init__(self, net, rows):
        super().__init__()
        self.prefix, self.net, self.rows = net.prefix, net.to(torch.bfloat16), rows
        self.prefix = self.prefix.to(torch.float32)

    def forward(self, x):
        x = self.prefix(x)
        _, channels, height, width = x.shape
        noise = torch.randn(self.rows, height, width, channels, device=x.device).permute(0, 3, 1, 2)  # channels-last
        scores = self.net(torch.add(x, noise, alpha=SCALE).to(torch.bfloat16))
        classes = torch.arange(scores.shape[1], device=x.device)
        return (scores.argmax(1, keepdim=True) == classes).sum(0)  # bincount makes a GPU wait for the processor


class DeviceDraws:
    """Draws of one image, with all after the noise in bf16."""

    def __init__(self, net, device, way, rows):
        self.x = torch.randn(net.image, device=device).to(memory_format=torch.channels_last)
        self.count, self.unit = rows, "draws/s"
        self.draws = Draws(net.eval(), rows).eval().to(device, memory_format=torch.channels_last)
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


class Gradients:
    """Gradients in images of the losses of many draws, in fp32: the first convolution once per image."""

    def __init__(self, net, device, way, images, draws):
        self.net = net.eval().to(device, memory_format=torch.channels_last).requires_grad_(False)
        self.x = torch.full((images, *net.image[1:]), 0.1, device=device).to(memory_format=torch.channels_last)
        self.x.requires_grad_()
        self.labels = torch.arange(images, device=device).remainder(10).repeat_interleave(draws)
        self.draws, self.count, self.unit = draws, images * draws, "rows/s"
        self.body = torch.compile(self.net) if way == "compiled" else self.net

    def __call__(self):
        x = self.net.prefix(self.x).repeat_interleave(self.draws, 0)
        scores = self.body(x + SCALE * torch.randn_like(x))
        loss = functional.cross_entropy(scores, self.labels, reduction="sum") / self.draws
        torch.autograd.grad(loss, self.x)


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


def attack_works(device, quick):
    """The same of all that `bench attacks` names so."""
    images, draws = (1, 2) if quick else (8, 20)
    side = {"side": 8} if quick else {}
    nets = {"MNIST CNN": lambda: MnistCnn(**side)}
    for widening in (1,) if quick else (1, 4):
        nets[f"WRN-16-{widening}"] = lambda widening=widening: WideResnet(16, widening, **side)
    for name, net in nets.items():
        yield ("attacks", f"{name}, fp32, gradient rows of {images} images by {draws} draws",
               lambda way: Gradients(net(), device, way, images, draws))


def measure_device(o):
    if o.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: this PyTorch finds no GPU: --device cpu shows that everything runs")
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.backends.cudnn.allow_tf32 = False  # before the noise all is in fp32
    torch.backends.cudnn.benchmark = True
    ours = {}
    if o.against:
        try:
            with open(o.against, encoding="utf-8") as file:
                ours = {line["what"]: line["rate"] for line in json.load(file)["lines"]}
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"error: {o.against}: no JSON that `bench --json` printed: {error!r}")
    name = torch.cuda.get_device_name() if o.device == "cuda" else "processor"
    if not o.json:
        print(f"PyTorch {torch.__version__} on {name}; the ratio is that of bench to it")
    lines, works = [], attack_works if o.part == "attacks" else device_works
    for way in ("eager", "compiled"):  # compiling takes long: what needs none comes first
        for part, what, make in works(o.device, o.quick):
            if o.part and part != o.part:
                continue
            line = device_line(what, part, way, o.device, o.repetitions, make)
            if "rate" in line and what in ours:
                line |= {"bench": ours[what], "ratio": ours[what] / line["rate"]}
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
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--part", choices=("draws", "training", "attacks"), help="default: draws and training")
    parser.add_argument("--threads", type=int, help="of the processor")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="the smallest shapes")
    parser.add_argument("--against", metavar="FILE", help="the JSON of `bench device`, for ratios")
    measure_device(parser.parse_args())


if __name__ == "__main__":
    main()
