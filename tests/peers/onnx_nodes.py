"""The tests of single operators inside the Python package onnx as networks that take a picture and score classes."""
import warnings

import numpy
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_node_model_tests

# That are read (docs/onnx.md), of those that these tests have.
OPERATORS = """Conv ConvTranspose Gemm MatMul LRN BatchNormalization Add Sub Mul Div Sum Neg Relu LeakyRelu PRelu Clip Sigmoid
    Tanh Elu HardSigmoid HardSwish Softmax MaxPool AveragePool GlobalAveragePool GlobalMaxPool ReduceMean Reshape Flatten
    Transpose Squeeze Unsqueeze Slice Split Gather Expand Concat Pad Identity Dropout Cast Constant ConstantOfShape
    """.split()
SEVERAL = ("Add", "Sub", "Mul", "Div", "Sum", "Concat")  # whose inputs may all depend on the picture
BY_ROWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization",
           "LRN", "Gemm", "MatMul")  # whose batch is read as one picture: a network for each row
MOST_SCORES = 4096


class Network:
    """The nodes around the one that is tested."""

    def __init__(self):
        self.nodes, self.weights, self.inputs = [], [], []

    def weight(self, value, name=None):
        name = name or f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(value), name))
        return name

    def node(self, operator, inputs, output=None, **attributes):
        output = output or f"made_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"around_{len(self.nodes)}", **attributes))
        return output

    def reshaped(self, value, shape, output=None):
        return self.node("Reshape", [value, self.weight(numpy.array(shape, numpy.int64))], output)

    def picture(self, name, array):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, array.shape))


def dependents(node, arrays):
    """Which inputs are made of the picture, in each way that there is."""
    names = [name for name in node.input if name]
    if node.op_type in ("Constant", "ConstantOfShape"):
        return [[]]
    if node.op_type not in SEVERAL or len(names) < 2:
        return [names[:1]]
    ways = [names, names[:1], names[-1:]]
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def picture_for(network, way, arrays, random):
    """Gives the network its picture, of which the inputs of this way are made."""
    whole = [arrays[name] for name in way]
    if len(way) == 1 and whole[0].ndim == 4 and whole[0].shape[0] == 1 or any(a.dtype != numpy.float32 for a in whole):
        network.picture(way[0], whole[0])
        return whole[0]
    flat = numpy.concatenate([array.ravel() for array in whole]) if whole else random.normal(size=8).astype(numpy.float32)
    picture = flat.reshape(1, 1, 1, -1)
    network.picture("picture", picture)
    start = 0
    for name, array in zip(way, whole):
        part = "picture"
        if len(way) > 1:
            indices = network.weight(numpy.arange(start, start + array.size))
            part = network.node("Gather", ["picture", indices], axis=3)
        network.reshaped(part, array.shape, name)
        start += array.size
    return picture


def scores_of(network, node, way, expected, picture, random):
    """Nodes from the tested one's output to scores; and their values."""
    made, size = node.output[0], expected.size
    if expected.dtype != numpy.float32 or node.op_type == "Constant":
        made = network.node("Cast", [made], to=TensorProto.FLOAT)
    made, values = network.reshaped(made, [1, size]), expected.astype(numpy.float64).reshape(1, size)
    if not way:  # a constant: scores depend on the picture
        reader = random.normal(size=(picture.size, size)).astype(numpy.float32)
        product = network.node("MatMul", [network.reshaped("picture", [1, picture.size]), network.weight(reader)])
        made, values = network.node("Add", [product, made]), values + picture.astype(numpy.float64).reshape(1, -1) @ reader
    if node.op_type == "Softmax":  # at the end it would be left out
        made, values = network.node("Mul", [made, network.weight(numpy.float32(2))]), 2 * values
    if size > MOST_SCORES:
        reader = random.normal(size=(size, 8)).astype(numpy.float32)
        made, values = network.node("MatMul", [made, network.weight(reader)]), values @ reader
    if size == 1:
        made, values = network.node("Concat", [made, made], axis=1), numpy.concatenate([values, values], 1)
    return made, values


def network_of(model, arrays, way, expected, random):
    node = model.graph.node[0]
    network = Network()
    picture = picture_for(network, way, arrays, random)
    for name, array in arrays.items():
        if name not in way:
            network.weight(array, name)
    network.nodes.append(node)
    scores, values = scores_of(network, node, way, expected, picture, random)
    graph = helper.make_graph(network.nodes, "node", network.inputs,
                              [helper.make_tensor_value_info(scores, TensorProto.FLOAT, None)], network.weights)
    opset = next(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return made, picture, values


def rows_of(node, arrays, expected):
    """A batch as its rows: (inputs, output) of each."""
    first = next((name for name in node.input if name), None)
    batch = arrays[first].shape[0] if first in arrays and arrays[first].ndim > 1 else 1
    matrices = node.op_type != "MatMul" or all(array.ndim == 2 for array in arrays.values())
    if node.op_type not in BY_ROWS or not matrices or batch == 1 or expected.ndim < 1 or expected.shape[0] != batch:
        return [(arrays, expected)]
    by_row = {first} | {name for name in node.input[2:3] if node.op_type == "Gemm" and name
                        and arrays[name].ndim == 2 and arrays[name].shape[0] == batch}
    return [({name: array[row:row + 1] if name in by_row else array for name, array in arrays.items()},
             expected[row:row + 1]) for row in range(batch)]


def cases(random):
    """(name, [(model, picture, expected scores)]) of every test of one of the operators."""
    numpy.random.seed(1)  # from which these tests make their values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = load_node_model_tests()
    for case in sorted(tests, key=lambda case: case.name):
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in OPERATORS or nodes[0].domain or case.name.endswith("_expanded"):
            continue
        node, (inputs, outputs) = nodes[0], case.data_sets[0]
        names = [value.name for value in case.model.graph.input]
        if any(not isinstance(value, numpy.ndarray | numpy.generic) for value in (*inputs, outputs[0])):
            continue  # sequences, and tensors of types that numpy has not
        if numpy.size(outputs[0]) == 0:
            continue  # no scores
        arrays = {name: numpy.asarray(array) for name, array in zip(names, inputs)}
        for way in dependents(node, arrays):
            suffix = f" ({', '.join(way)})" if len(arrays) > 1 and node.op_type in SEVERAL else ""
            yield case.name + suffix, [network_of(case.model, row, way, output, random)
                                       for row, output in rows_of(node, arrays, numpy.asarray(outputs[0]))]
