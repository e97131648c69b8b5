#!/usr/bin/env python3
"""Draws per second of several ranks with one thread each against one such process, by turns, in the same run.

    bench/ranks.py RUN [--ranks 2] [--turns 5] [--program build/pixeldp] [-- --draws 300 --images 0:500 ...]

What follows -- goes to 'pixeldp certify'. The machine must have a core for each rank, and nothing else to do.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--program", default="build/pixeldp")
    ours, certify = sys.argv[1:], []
    if "--" in ours:
        ours, certify = ours[:ours.index("--")], ours[ours.index("--") + 1:]
    arguments = parser.parse_args(ours)
    if os.cpu_count() < arguments.ranks:
        sys.exit(f"{os.cpu_count()} cores are too few for {arguments.ranks} ranks")

    def rate(launcher):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            command = [*launcher, arguments.program, "certify", arguments.run, *certify, "--json", "--output",
                       str(log)]
            done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True)
            return json.loads(done.stdout)["draws_per_second"], log.read_bytes()

    mpirun = ["mpirun", "-n", str(arguments.ranks), "--bind-to", "core"]
    if os.geteuid() == 0:
        mpirun.append("--allow-run-as-root")
    turns = []
    for _ in range(arguments.turns):
        (one, log), (several, same) = rate([]), rate(mpirun)
        if log != same:
            sys.exit("the ranks' log is not that of one process")
        turns.append((one, several))
        print(f"{one:10.0f} draws/s by one, {several:10.0f} by {arguments.ranks} ranks: {several / one:.2f} times", flush=True)
    print(f"median of {arguments.turns}: {statistics.median(several / one for one, several in turns):.2f} times")


if __name__ == "__main__":
    main()
