#!/usr/bin/env python3
"""Runs every part of bench once, on the least of everything, and checks what it says: not how fast things are."""
import json
import math
import subprocess
import sys

program = sys.argv[1]
least = ["--repetitions", "1", "--depth", "10", "--widening", "1", "--rows", "1", "--images", "1", "--draws", "16",
         "--batch", "2"]


def run(*options):
    return subprocess.run([program, *options], check=True, capture_output=True, text=True).stdout


def check(condition, what):
    if not condition:
        sys.exit(f"bench: {what}")


parts = [line.split()[0] for line in run("--list").splitlines()]
check(parts == ["noise", "draws", "wide-resnet", "curve", "training", "pytorch"], f"parts {parts}")

# An interpreter that is none: PyTorch itself takes longer to start than all the rest.
report = json.loads(run("--json", *least, "--python", "false"))
check(report["processor"] and report["threads"] >= 1, "no processor")
check(isinstance(report["instruction_sets"], list), "no instruction sets")
check([note["part"] for note in report["notes"] if "--python" in note["text"]] == ["pytorch"], "PyTorch was not missed")

silent = {note["part"] for note in report["notes"]}
told = {line["part"] for line in report["lines"]}
check(told | silent == set(parts), f"only {told | silent} were measured")
check({"noise", "draws", "curve", "training"} <= told, f"only {told} have lines")
met = missed = 0
for line in report["lines"]:
    check(math.isfinite(line["rate"]) and line["rate"] > 0, f"a rate of {line['rate']}: {line}")
    check(math.isfinite(line["ratio"]), f"a ratio of {line['ratio']}: {line}")
    check(line["what"] and line["unit"] and line["to"], f"a line that does not say what it is: {line}")
    for target in line["targets"]:
        value, bound = line[target["of"]], target["value"]
        check(target["met"] == (value >= bound if target["bound"] == ">=" else value <= bound), f"wrong verdict: {line}")
        met, missed = met + target["met"], missed + (not target["met"])
check(met + missed > 0 and (report["targets"]["met"], len(report["targets"]["missed"])) == (met, missed),
      f"targets: {report['targets']} but {met} met, {missed} missed")

# Parts can be chosen, and a table says the same as JSON.
table = run(*least, "wide-resnet")
check("WRN-10-1" in table and "curve" not in table and "targets met" in table, f"not a table of one part:\n{table}")
