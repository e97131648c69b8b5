"""What network_values says of a network, and how far it is from what another program says."""
import json
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77


def skip(error, packages):
    print(f"skipped: {error}; this takes {packages}, as in: python3 -m venv peers && peers/bin/pip install {packages}")
    sys.exit(SKIPPED)


class Refused(Exception):
    """The program said why it does not take a network."""


def network_values(program, model, pictures, names=()):
    """({name: array}, what the program says of the network) for pictures [N, H, W, C] of float32."""
    import numpy

    with tempfile.TemporaryDirectory() as folder:
        given, made = pathlib.Path(folder, "pictures"), pathlib.Path(folder, "values")
        numpy.ascontiguousarray(pictures, numpy.float32).tofile(given)
        outcome = subprocess.run([program, str(model), str(given), str(made), *names], capture_output=True, text=True)
        if outcome.returncode == 1:
            raise Refused(outcome.stderr.strip())
        if outcome.returncode != 0:
            raise RuntimeError(f"{program} ended with status {outcome.returncode} on {model}: {outcome.stderr}")
        about, flat = json.loads(outcome.stdout), numpy.fromfile(made, numpy.float32)
    values, start = {}, 0
    for value in about["values"]:
        size = int(numpy.prod(value["shape"]))
        values[value["name"]] = flat[start:start + size].reshape(value["shape"])
        start += size
    assert start == flat.size
    return values, about


def difference(ours, theirs):
    """The greatest, relative to the largest of theirs."""
    import numpy

    ours, theirs = numpy.asarray(ours, numpy.float64).ravel(), numpy.asarray(theirs, numpy.float64).ravel()
    if ours.shape != theirs.shape:
        raise RuntimeError(f"{ours.size} values instead of {theirs.size}")
    if not (numpy.isfinite(ours).all() and numpy.isfinite(theirs).all()):
        return float("inf")
    largest = numpy.abs(theirs).max()
    return float(numpy.abs(ours - theirs).max() / largest) if largest > 0 else float(numpy.abs(ours).max())
