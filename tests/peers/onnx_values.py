#!/usr/bin/env python3
"""Holds networks in ONNX, read by this program, against what ONNX says that they make:

    onnx_values.py build/tests/network_values [PART...]

Parts: `models`, every FILE.onnx below $PIXELDP_DATA/models, and `light`, the networks inside the Python package onnx, as
they are (all weights alike) and with random weights, against ONNX Runtime; `nodes`, the package's tests of the operators
that are read, each made into a small network, against the values in these tests. One line for each: the greatest difference
of the scores relative to the largest of them, or why it is refused. Exit status 1 where one differs by more than 1e-4 or is
refused for another reason than those known; 77 without the packages onnx and onnxruntime.
"""
import os
import pathlib
import re
import sys
import tempfile

from values import Refused, difference, network_values, skip

try:
    import numpy
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    import onnx_nodes
except ImportError as error:
    skip(error, "onnx onnxruntime")

MOST = 1e-4
# Values of these are given to four digits.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}
# What is refused, by what the reader says of it.
KNOWN = (r"is of type \w+: pictures are read as .* of float",
         r"which is no image of one picture", r"images are read", r"has an axis of extent \d{5}",  # of one or three axes
         r"training_mode is true", r"its limits are 2 and 1",
         r"ConstantOfShape\): it makes \d+ values of one",  # a file of a few bytes that asks for much memory
         r"a quotient of two values", r"a constant divided by",
         r"Gather\): indices of 2 axes", r"transA is not read", r"storage_order 1",
         r"MatMul\): its weight is .* not of two axes",
         r"it multiplies .*: one row for each picture is read",
         r"it takes means over (channels|the axes)", r"MatMul\): its input '\w+' depends on the picture")


def channels_last(model):
    """Whether the picture is read as 1, H, W, C: the rule of docs/onnx.md."""
    dims = [d.dim_value for d in picture_of(model).type.tensor_type.shape.dim]
    return len(dims) == 4 and dims[1] > 16 and 1 <= dims[3] <= 16


def picture_of(model):
    weights = {tensor.name for tensor in model.graph.initializer}
    return next(value for value in model.graph.input if value.name not in weights)


def without_softmax(model):
    """The network up to its scores: a softmax at the end is left out, as it is when a network is read."""
    last = next((node for node in model.graph.node if model.graph.output[0].name in node.output), None)
    if last is None or last.op_type not in ("Softmax", "LogSoftmax"):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info(last.input[0], TensorProto.FLOAT, None))
    return made


def against_onnx_runtime(program, path, random):
    """The greatest difference for one picture."""
    model = onnx.load(path)
    picture = picture_of(model)
    shape = [max(dim.dim_value, 1) for dim in picture.type.tensor_type.shape.dim]
    x = random.uniform(-1, 1, shape).astype(numpy.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(without_softmax(model).SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    theirs = session.run(None, {picture.name: x})[0]
    values, _ = network_values(program, path, x if channels_last(model) else x.transpose(0, 2, 3, 1))
    return difference(values["scores"], theirs)


def with_random_weights(model, random):
    """A network whose weights ConstantOfShape makes, all alike, with random ones of the same shapes in their place."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    factors = {name for node in graph.node if node.op_type in ("BatchNormalization", "Unsqueeze")
               for name in (node.input[0], *node.input[1:2], *node.input[4:5])}
    weights = {}
    for node in list(graph.node):
        if node.op_type != "ConstantOfShape":
            continue
        shape, name = tuple(shapes[node.input[0]]), node.output[0]
        if len(shape) == 1:
            values = random.uniform(0.5, 1.5, shape) if name in factors else random.normal(0, 0.1, shape)
        else:
            values = random.normal(0, (2 / numpy.prod(shape[1:])) ** 0.5, shape)
        weights[name] = numpy_helper.from_array(values.astype(numpy.float32), name)
        graph.node.remove(node)
    graph.initializer.extend(weights.values())
    made.ir_version = max(made.ir_version, 4)  # from which on weights are no inputs
    return made


def models(program, folder, random):
    data = os.environ.get("PIXELDP_DATA")
    files = sorted(pathlib.Path(data, "models").glob("**/*.onnx")) if data else []
    if not files:
        print("models: skipped: there is no $PIXELDP_DATA/models/**/*.onnx")
    for file in files:
        yield file.name, lambda file=file: against_onnx_runtime(program, file, random)


def light(program, folder, random):
    def with_weights(file):
        path = pathlib.Path(folder, file.name)
        path.write_bytes(with_random_weights(onnx.load(file), random).SerializeToString())
        try:
            return against_onnx_runtime(program, path, random)
        finally:
            path.unlink()

    for file in sorted((pathlib.Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx")):
        yield file.name, lambda file=file: against_onnx_runtime(program, file, random)
        yield f"{file.name}, random weights", lambda file=file: with_weights(file)


def nodes(program, folder, random):
    path = pathlib.Path(folder, "node.onnx")

    def compare(networks):
        worst = 0.0
        for model, picture, expected in networks:
            path.write_bytes(model.SerializeToString())
            last = channels_last(model) or picture.ndim != 4  # the latter is refused
            values, _ = network_values(program, path, picture if last else picture.transpose(0, 2, 3, 1))
            worst = max(worst, difference(values["scores"], expected))
        return worst

    for name, networks in onnx_nodes.cases(random):
        yield name, lambda networks=networks: compare(networks)


PARTS = {"models": models, "light": light, "nodes": nodes}


def main():
    program, *chosen = sys.argv[1:] or [None]
    if program is None or set(chosen) - set(PARTS):
        sys.exit(f"usage: {sys.argv[0]} build/tests/network_values [{' | '.join(PARTS)}]...")
    equal = refused = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for part in chosen or PARTS:
            for name, work in PARTS[part](program, folder, numpy.random.default_rng(1)):
                try:
                    found = work()
                    good = found <= (1e-3 if name in ROUNDED else MOST)
                    equal += good
                    text = f"{found:.1e}" + ("" if good else "  DIFFERENT")
                except Refused as error:
                    message = str(error).replace(f"{folder}/", "")
                    good = any(re.search(pattern, message) for pattern in KNOWN)
                    refused += good
                    text = f"refused: {message}" + ("" if good else "  UNEXPECTED")
                wrong += not good
                print(f"{name:<56} {text}", flush=True)
    print(f"{equal} equal, {refused} refused for known reasons, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
