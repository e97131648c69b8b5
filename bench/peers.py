#!/usr/bin/env python3
"""Times draws of some networks, ours against those of PyTorch, OpenVINO and ONNX Runtime, as far as they are installed.

A draw is the same for all: noise, all that follows it, and a vote; what lies before it is calculated once per image, so
the others are given its result. Each makes noise by what is fastest there, runs in every way that it has (eager,
compiled, streams, formats of int8), and in each with the number of rows that suits it. All take turns in one run, each
in a process of its own; a ratio is the median of the turns' ratios. One thread is timed by the processor time that it
took, which is the same whatever else the machine does, but for caches; several by the clock. bench/peer.py is what the
others do; its models stay in the folder MODELS, since making them takes long. --memory adds the most that a process has
had which makes draws in one of these ways alone. An auto-encoder before Inception-v3 is there twice: with its first
convolution calculated once per image, and, with the noise in the image, for every draw.

    python3 -m venv peers && peers/bin/pip install torch torchao openvino nncf onnx onnxscript onnxruntime
    peers/bin/python bench/peers.py --output peers.json
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ("PyTorch", "OpenVINO", "ONNX Runtime")
PRECISIONS = ("fp32", "bf16", "int8")
NETWORKS = {"MNIST CNN": {"architecture": "mnist-cnn", "depth": 0, "widening": 0},
            "WRN-16-4": {"architecture": "wide-resnet", "depth": 16, "widening": 4},
            "WRN-28-10": {"architecture": "wide-resnet", "depth": 28, "widening": 10},
            "ResNet-20": {"architecture": "resnet", "depth": 20, "widening": 0}}
LARGE = {"Inception-v3": {"architecture": "inception-v3", "depth": 0, "widening": 0},
         "auto-encoder": {"architecture": "autoencoder", "depth": 0, "widening": 0},
         "unshared": {"architecture": "autoencoder-unshared", "depth": 0, "widening": 0}}
ALL = NETWORKS | LARGE
ROWS = {"MNIST CNN": (16, 64, 256), "WRN-16-4": (2, 8, 32), "WRN-28-10": (2, 8, 32), "ResNet-20": (4, 16, 64)} | {
    name: (1, 4, 16) for name in LARGE}
OUR_ROWS, OUR_FEWER_ROWS = 64, 16  # together in a thread: as certify does, and for --quick
OUR_LARGE_ROWS = 4                 # of large networks, as for --quick
# What is asked of one thread, by the processor's widest instructions: (network, precision, peer) -> ratio.
TARGETS = {"AVX2": {("WRN-28-10", "fp32", "PyTorch"): 3.0, ("WRN-28-10", "int8", "PyTorch"): 4.5,
                    ("WRN-28-10", "fp32", "OpenVINO"): 2.5, ("WRN-28-10", "int8", "OpenVINO"): 2.5,
                    ("MNIST CNN", "fp32", "PyTorch"): 1.6, ("MNIST CNN", "int8", "PyTorch"): 2.5},
           "AVX-512": {("WRN-28-10", "fp32", "PyTorch"): 3.0}}


class Process:
    """Something that makes draws when it is told so, by lines of JSON."""

    def __init__(self, name, command, threads, log):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        for how_to_wait in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
            environment.pop(how_to_wait, None)
        self.name, self.command, self.log = name, command, log
        self.clock = "processor_seconds" if threads == 1 else "seconds"
        with open(log, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            text=True, env=environment)
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.name} ended: see {self.log}")
        return json.loads(line)

    def ask(self, order):
        """The answer, or None after saying why there is none."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        if "error" not in answer:
            return answer
        about = order.get("prepare", order)
        print(f"{self.name}: no {' '.join(str(value) for value in about.values())}: {answer['error']}", flush=True)
        return None

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Runner:
    """A network in one precision, and one way of one peer, ready to make draws."""

    def __init__(self, process, arguments, least):
        self.process, self.arguments, self.least, self.bytes = process, arguments, least, None
        prepared = process.ask({"prepare": arguments})
        self.case = prepared and prepared["case"]
        self.draws, self.times = least, []
        if self.case is not None:
            self.run()  # warms up
            self.trial = self.run()

    def run(self):
        return self.process.ask({"run": self.case, "draws": self.draws})[self.process.clock]

    def prepare_turns(self, seconds):
        """Makes its turns about so long."""
        self.draws = self.least * max(1, round(seconds / self.trial / self.least))

    def take_turn(self):
        time.sleep(0.05)  # in which the others' threads cease to wait for work
        self.times.append(self.run())

    def rate(self):
        return 1 / statistics.median(self.times)

    def ratio(self, other):
        return statistics.median(theirs / ours for ours, theirs in zip(self.times, other.times))


def at_best_rows(process, network, precision, way, rows):
    """The fastest of the runners with these rows, or None."""
    best = None
    for count in rows:
        arguments = network | {"precision": precision, "way": way, "rows": count}
        runner = Runner(process, arguments, count)
        if runner.case is None:
            continue
        if best is None or runner.trial < best.trial:
            best, runner = runner, best
        if runner:
            process.ask({"forget": runner.case})
    return best


def runners_of(process, name, o):
    """In every way that a peer has. Ways that take long to prepare get the rows at which the way before is best."""
    found, rows = [], ROWS[name][1:2] if o.quick else ROWS[name]
    for precision in o.precisions:
        for way, slow in process.about["ways"].get(precision, []):
            if slow and o.quick:
                continue
            tried = [found[-1].arguments["rows"]] if slow and found else rows
            runner = at_best_rows(process, ALL[name], precision, way, tried)
            if runner:
                found.append(runner)
    return found


def contest(name, ours, peers, o, threads):
    """Lines of one network: ours in each precision against the best of each peer in that, and in any before it."""
    mine = {}
    rows = OUR_LARGE_ROWS if name in LARGE else OUR_FEWER_ROWS if o.quick else OUR_ROWS
    for precision in o.precisions:
        runner = Runner(ours, ALL[name] | {"precision": precision}, rows * threads)
        if runner.case is not None:
            mine[precision] = runner
    theirs = {peer.name: runners_of(peer, name, o) for peer in peers}
    everybody = list(mine.values()) + [runner for runners in theirs.values() for runner in runners]
    for runner in everybody:
        runner.prepare_turns(o.seconds)
    for turn in range(o.turns):
        for runner in everybody[::1 if turn % 2 else -1]:
            runner.take_turn()
    lines = []
    for precision, runner in mine.items():
        for peer, others in theirs.items():
            no_better = PRECISIONS[:PRECISIONS.index(precision) + 1]
            rivals = [other for other in others if other.arguments["precision"] in no_better]
            line = {"network": name, "threads": threads, "precision": precision, "rate": runner.rate(), "peer": peer}
            if rivals:
                best = max(rivals, key=Runner.rate)
                line |= {"peer_rate": best.rate(), "ratio": runner.ratio(best),
                         "best": {key: best.arguments[key] for key in ("precision", "way", "rows")},
                         "all": [{key: other.arguments[key] for key in ("precision", "way", "rows")} |
                                 {"rate": other.rate(), "ratio": runner.ratio(other)} for other in rivals]}
                if o.memory:
                    line |= {"bytes": memory_of(runner, threads), "peer_bytes": memory_of(best, threads)}
            target = TARGETS[o.instructions].get((name, precision, peer)) if threads == 1 else None
            lines.append(line | ({"target": target} if target else {}))
            print_line(lines[-1])
    for runner in everybody:
        if runner.process is not ours:
            runner.process.ask({"forget": runner.case})
    return lines


def memory_of(runner, threads):
    """The most that a process has had which only makes a batch of these draws; each is asked for once."""
    if runner.bytes is None:
        log = runner.process.log.with_name(f"{runner.process.name}-memory.log")
        alone = Process(runner.process.name, runner.process.command, threads, log)
        prepared = alone.ask({"prepare": runner.arguments})
        alone.ask({"run": prepared["case"], "draws": runner.least})
        runner.bytes = alone.ask({"memory": True})["bytes"]
        alone.end()
    return runner.bytes


def print_line(line):
    head = f"{line['network']:<12} {line['precision']:<5} {line['threads']:>7} {line['rate']:>10,.1f}  {line['peer']:<13}"
    if "ratio" not in line:
        return print(f"{head} none of its ways works", flush=True)
    best = line["best"]
    target = line.get("target")
    verdict = f"{target:.1f} {'met' if line['ratio'] >= target else 'MISSED'}" if target else ""
    if "bytes" in line:
        verdict += f"  {line['bytes'] / 2**20:,.0f} against {line['peer_bytes'] / 2**20:,.0f} MiB"
    how = f"{best['precision']} {best['way']}, {best['rows']} rows"
    return print(f"{head} {how:<36} {line['peer_rate']:>10,.1f} {line['ratio']:>6.2f}  {verdict}", flush=True)


def start_peers(o, threads):
    """Those that are there. PyTorch writes the models that the others read."""
    there = []
    for name in PEERS:
        if name not in o.peers and name != "PyTorch":
            continue
        command = [sys.executable, str(HERE / "peer.py"), name, str(threads), str(o.models)]
        process = Process(name, command, threads, o.models / f"{name}.log")
        if "absent" in process.about:
            print(process.about["absent"])
            process.end()
            continue
        print(f"{name} {process.about['version']}")
        if name == "PyTorch" and set(o.peers) != {"PyTorch"}:  # models for the others
            for network in o.networks:
                process.ask({"export": ALL[network]})
        if name in o.peers:
            there.append(process)
        else:
            process.end()
    return there


def instructions():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = next(line for line in file if line.startswith("flags")).split()
    return "AVX-512" if "avx512f" in flags else "AVX2"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    some = lambda flag, choices, about, usual=None: parser.add_argument(
        flag, nargs="+", choices=choices, default=list(usual or choices), metavar="NAME",
        help=f"{about}: {', '.join(choices)}")
    some("--networks", ALL, f"which of (default: {', '.join(NETWORKS)})", NETWORKS)
    some("--precisions", PRECISIONS, "which of")
    some("--peers", PEERS, "which of")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count()}))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each one's turn, or one batch if that is longer")
    parser.add_argument("--quick", action="store_true", help="few rows, and nothing that must be compiled")
    parser.add_argument("--memory", action="store_true", help="also the most memory that each takes by itself")
    parser.add_argument("--bench", default=str(HERE.parent / "build" / "bench" / "bench"), help="our program")
    parser.add_argument("--models", type=pathlib.Path, default=HERE.parent / "build" / "peers")
    parser.add_argument("--output", metavar="FILE", help="writes all lines as JSON")
    o = parser.parse_args()
    o.instructions = instructions()
    o.models.mkdir(parents=True, exist_ok=True)
    report = {"turns": o.turns, "lines": []}
    for threads in o.threads:
        ours = Process("bench", [o.bench, "serve"], threads, o.models / "bench.log")
        report |= {"processor": ours.about["processor"], "instructions": o.instructions}
        print(f"{ours.about['processor']}, {o.instructions}, {threads} thread{'s' if threads > 1 else ''}")
        peers = start_peers(o, threads)
        report["versions"] = {peer.name: peer.about["version"] for peer in peers}
        print(f"{'network':<12} {'':<5} {'threads':>7} {'draws/s':>10}  {'against the best of':<50} {'draws/s':>10} "
              f"{'ratio':>6}  target", flush=True)
        for name in o.networks:
            report["lines"] += contest(name, ours, peers, o, threads)
            if o.output:
                pathlib.Path(o.output).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        for process in [ours, *peers]:
            process.end()


if __name__ == "__main__":
    main()
