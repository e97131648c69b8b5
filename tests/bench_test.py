#!/usr/bin/env python3
"""Runs every part of bench once, on the least of everything, and checks what it says: not how fast things are."""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

program = sys.argv[1]
least = ["--repetitions", "1", "--depth", "10", "--widening", "1", "--rows", "1", "--images", "1", "--draws", "16",
         "--batch", "2"]


def run(*options):
    return subprocess.run([program, *options], check=True, capture_output=True, text=True).stdout


def check(condition, what):
    if not condition:
        sys.exit(f"bench: {what}")


parts = [line.split()[0] for line in run("--list").splitlines()]
check(parts == ["noise", "draws", "wide-resnet", "products", "curve", "log", "overhead", "attacks", "training"],
      f"parts {parts}")

report = json.loads(run("--json", *least))
check(report["processor"] and report["threads"] >= 1, "no processor")
check(isinstance(report["instruction_sets"], list), "no instruction sets")

silent = {note["part"] for note in report["notes"]}
told = {line["part"] for line in report["lines"]}
check(told | silent == set(parts), f"only {told | silent} were measured")
check({"noise", "draws", "products", "curve", "log", "overhead", "attacks", "training"} <= told,
      f"only {told} have lines")
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
check("WRN-10-1" in table and "curve" not in table, f"not a table of one part:\n{table}")
check(("targets met" in table) == ("[ratio" in table), f"targets of a table:\n{table}")

# Ceilings that are computed: three GPUs, five layers each, in two precisions and with two gradients, none above the peak.
table = run("roofline", "--rows", "64")
check("computed, none" in table, "ceilings that do not say what they are")
lines = [line.split("|") for line in table.splitlines() if ", stride" in line]
check(len(lines) == 60, f"{len(lines)} layers")
for cells in lines:
    limits = [float(cell) for cell in cells[3:8]]
    check(all(limit > 0 for limit in limits), f"no ceiling: {cells}")
    check(0 < int(cells[8].split(",")[1].split("%")[0]) <= 100, f"not a part of the peak: {cells}")

# `bench device` runs every line of every part on the emulated device, where times tell nothing.
device = ["device", "--device", "emulated", "--samples", "3"]
listed = run("device", "--list", "--device", "emulated").split("\n\nwhat --run takes:\n")
parts, cases = {line.split()[0] for line in listed[0].splitlines()}, set(listed[1].splitlines())
report = json.loads(run(*device, "--json"))
check(report["device"]["name"] == "emulated" and report["device"]["l2_bytes"] > 0, f"device {report['device']}")
check(report["failed"] == [], f"failed: {report['failed']}")
check({line["part"] for line in report["lines"]} == parts, "not all parts of bench device have lines")
named = {line["what"] for line in report["lines"]}
for case in cases:
    check({f"{case}, warm", f"{case}, L2 flushed"} <= named, f"no lines of {case}")
check(sum("cuDNN" in line["to"] for line in report["lines"]) > 0, "cuDNN was not missed")
check([note for note in report["notes"] if "cuBLASLt" in note["text"]], "cuBLASLt was not missed")
for line in report["lines"]:
    check(0 < line["low"] <= line["rate"] <= line["high"] < math.inf, f"a rate beyond its quartiles: {line}")
    check(line["invalid"] == "" and line["to"].endswith("(emulated: no speed)"), f"taken for a speed: {line}")
run("device", "--device", "emulated", "--run", sorted(cases)[0], "--repetitions", "2")


def status(*options):
    done = subprocess.run([program, *options], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


code, text = status("device", "--device", "emulated", "--run", "nothing of this name")
check(code == 2 and "--list" in text, f"an unknown case: {code}, {text}")
code, text = status("device", "--device", "cpu")
check(code == 2 and "cuda" in text, f"a processor: {code}, {text}")

# Draws on demand, whose mistakes do not end it.
network = {"architecture": "wide-resnet", "depth": 10, "widening": 1, "precision": "int8"}
orders = [{"prepare": network}, {"prepare": network | {"architecture": "none"}}, {"run": 1, "draws": 2},
          {"run": 0, "draws": 2}, {"memory": True}]
done = subprocess.run([program, "serve"], input="".join(json.dumps(order) + "\n" for order in orders), check=True,
                      capture_output=True, text=True)
about, made, unknown, absent, ran, memory = map(json.loads, done.stdout.splitlines())
check(about["processor"] and about["threads"] >= 1 and made == {"case": 0}, f"serve begins with {about}, {made}")
check("'none'" in unknown["error"] and absent["error"], f"serve does what it cannot: {unknown}, {absent}")
check(0 < ran["seconds"] < math.inf and 0 < ran["processor_seconds"] < math.inf, f"serve ran {ran}")
check(2**20 < memory["bytes"] < 2**36, f"serve took {memory}")

# Reports are compared line by line.
with tempfile.TemporaryDirectory() as folder:
    before, after, none = (pathlib.Path(folder) / name for name in ("before.json", "after.json", "none.json"))
    before.write_text(json.dumps(report))
    first, last = report["lines"][0], report["lines"].pop()
    for key in "rate", "low", "high":
        first[key] /= 100
    after.write_text(json.dumps(report))
    none.write_text("{}")
    code, text = status("compare", before, after)
    check(code == 1 and f"{first['what']} " in text and "1 SLOWER" in text, f"one is slower: {code}\n{text}")
    check(f"only in the old file: {last['part']}: {last['what']}" in text, f"a line is missing:\n{text}")
    found = json.loads(run("compare", "--json", after, before))
    check([line["what"] for line in found["lines"] if line["change"] == "FASTER"] == [first["what"]], "not faster")
    check(len(found["only_after"]) == 1 and not found["only_before"], f"missing lines: {found}")
    code, text = status("compare", before, none)
    check(code == 1 and "none.json" in text, f"no report: {code}, {text}")
