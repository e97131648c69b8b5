#!/usr/bin/env python3
"""One of the peers of bench/peers.py, in a process of its own: peer.py NAME THREADS MODELS.

Says first which version it is and its ways in each precision, [way, whether it takes long to prepare], or why it is
absent, and then answers lines of JSON, one each:

    {"prepare": {"architecture", "depth", "widening", "precision", "way", "rows"}} -> {"case": number}
    {"run": number of a case, "draws": N} -> {"seconds", "processor_seconds": of a draw}
    {"forget": number of a case} -> {}
    {"export": {"architecture", "depth", "widening"}} -> {}    PyTorch writes MODELS/NETWORK.onnx
    {"memory": true} -> {"bytes": the most that the process has had}

and anything that fails with {"error": text}.
"""
import concurrent.futures
import json
import os
import pathlib
import resource
import sys
import time
import traceback

NAME, THREADS, MODELS = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
try:
    import numpy
    import torch
    import torch._inductor.config

    import networks
    if NAME == "OpenVINO":
        import openvino
    if NAME == "ONNX Runtime":
        import onnxruntime
except ImportError as error:
    print(json.dumps({"absent": f"{NAME} is left out: {sys.executable} says {error} (all of them need PyTorch, which "
                                f"makes their models and their noise)"}))
    sys.exit()


def name_of(network):
    return "-".join(str(value) for value in (network["architecture"], network["depth"], network["widening"]) if value)


def has_bf16():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return " avx512_bf16" in file.read()


class Normals:
    """Fills tensors with normal variables, a part on each thread, by PyTorch's generator: it makes five times as many
    as numpy's, and sixteen times as many as operations of OpenVINO or ONNX Runtime do."""

    def __init__(self):
        self.generators = [torch.Generator().manual_seed(i) for i in range(THREADS)]
        self.pool = concurrent.futures.ThreadPoolExecutor(THREADS)

    def fill(self, tensor):
        """Contiguous, in whatever layout."""
        parts = tensor.as_strided((tensor.numel(),), (1,)).chunk(THREADS)
        if THREADS == 1:
            parts[0].normal_(generator=self.generators[0])
        else:
            list(self.pool.map(lambda part, generator: part.normal_(generator=generator), parts, self.generators))


class Case:
    """`batch` makes the scores of so many rows. It warms up."""

    def __init__(self, rows, batch):
        self.rows, self.batch = rows, batch
        self.run(rows)

    def run(self, draws):
        batches = -(-draws // self.rows)
        votes, start, ticks = 0, time.perf_counter(), time.process_time()
        for _ in range(batches):
            votes = votes + numpy.bincount(self.batch().argmax(1), minlength=10)
        made = batches * self.rows
        return {"seconds": (time.perf_counter() - start) / made,
                "processor_seconds": (time.process_time() - ticks) / made}


class PyTorch:
    def __init__(self):
        self.version, self.normals = torch.__version__, Normals()
        torch.set_num_threads(THREADS)
        torch.set_grad_enabled(False)
        torch._dynamo.config.recompile_limit = 64  # networks that one process compiles
        torch._inductor.config.freezing = True
        self.ways = {"fp32": [("eager", False), ("compiled", True)], "int8": [("FX graph", False), ("compiled", True)]}
        if has_bf16():
            self.ways["bf16"] = [("eager", False), ("compiled", True)]

    def net(self, network):
        torch.manual_seed(1)
        depth, widening = network["depth"], network["widening"]
        net = {"mnist-cnn": networks.MnistCnn, "wide-resnet": lambda: networks.WideResnet(depth, widening),
               "resnet": lambda: networks.Resnet(depth), "inception-v3": networks.Inception,
               "autoencoder": lambda: networks.Autoencoder(True),
               "autoencoder-unshared": lambda: networks.Autoencoder(False)}[network["architecture"]]()
        return net.eval()

    def prefix(self, net):
        return net.prefix(torch.randn(net.image))

    def prepare(self, network, precision, way, rows):
        layout = torch.channels_last
        net = self.net(network)
        prefix = self.prefix(net).to(memory_format=layout)
        noise = torch.empty(rows, *prefix.shape[1:]).to(memory_format=layout)
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        run = net.to(kind).to(memory_format=layout)
        if precision == "int8":
            quantised = {"compiled": self.exported, "FX graph": self.traced}[way]
            self.normals.fill(noise)
            run = quantised(run, torch.add(prefix, noise, alpha=networks.SCALE))
        if way == "compiled":  # but for the noise, which compiled code makes more slowly
            run = torch.compile(run)

        def batch():
            self.normals.fill(noise)
            return run(torch.add(prefix, noise, alpha=networks.SCALE).to(kind)).float().numpy()

        return Case(rows, batch)

    def traced(self, net, x):
        """In int8 by FX graph mode, whose kernels are FBGEMM's and oneDNN's."""
        from torch.ao.quantization import get_default_qconfig_mapping, quantize_fx

        prepared = quantize_fx.prepare_fx(net, get_default_qconfig_mapping("x86"), (x,))
        prepared(x)
        return quantize_fx.convert_fx(prepared)

    def exported(self, net, x):
        """In int8 for torch.compile."""
        from torchao.quantization.pt2e import move_exported_model_to_eval
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        quantiser = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(torch.export.export(net, (x,)).module(), quantiser)
        prepared(x)
        return move_exported_model_to_eval(convert_pt2e(prepared))

    def export(self, network):
        """From the prefix and unit noise to scores, for any number of rows."""
        file = MODELS / f"{name_of(network)}.onnx"
        if file.exists():
            return
        net = self.net(network)
        prefix = self.prefix(net)

        class Body(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, prefix, noise):
                return self.net(prefix + networks.SCALE * noise)

        example = (prefix, torch.randn(2, *prefix.shape[1:]))
        rows = {"prefix": None, "noise": {0: torch.export.Dim("rows")}}
        torch.onnx.export(Body().eval(), example, str(file), input_names=["prefix", "noise"], output_names=["scores"],
                          dynamic_shapes=rows, dynamo=True, external_data=False)


class OnnxModels:
    """What OpenVINO and ONNX Runtime share."""

    def __init__(self):
        self.normals = Normals()
        torch.set_num_threads(1)  # it only makes noise

    def file(self, network):
        return MODELS / f"{name_of(network)}.onnx"

    def inputs(self, shape, rows):
        """Prefix and noise of so many rows, and the tensor that shares the noise's memory."""
        prefix, noise = torch.randn(1, *shape[1:]), torch.randn(rows, *shape[1:])
        return {"prefix": prefix.numpy(), "noise": noise.numpy()}, noise


class OpenVino(OnnxModels):
    def __init__(self):
        super().__init__()
        self.version, self.core = openvino.__version__, openvino.Core()
        ways = [("1 stream", False)] + ([(f"{THREADS} streams", False)] if THREADS > 1 else [])
        self.ways = {"fp32": ways, "int8": ways} | ({"bf16": ways} if has_bf16() else {})

    def prepare(self, network, precision, way, rows):
        streams = int(way.split()[0])
        model = self.quantised(network) if precision == "int8" else self.core.read_model(self.file(network))
        shape = list(model.input("prefix").shape)
        model.reshape({"prefix": shape, "noise": [rows, *shape[1:]]})
        compiled = self.core.compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"})
        requests = []
        for _ in range(streams):
            inputs, noise = self.inputs(shape, rows)
            requests.append((compiled.create_infer_request(), noise))
            for name, array in inputs.items():
                requests[-1][0].set_tensor(name, openvino.Tensor(array, shared_memory=True))

        def batch():
            for request, noise in requests:
                self.normals.fill(noise)
                request.start_async()
            for request, _ in requests:
                request.wait()
            return numpy.concatenate([request.get_output_tensor().data for request, _ in requests])

        return Case(rows * streams, batch)

    def quantised(self, network):
        file = MODELS / f"{name_of(network)}-openvino-int8.xml"
        if not file.exists():
            import nncf

            model = self.core.read_model(self.file(network))
            shape = list(model.input("prefix").shape)
            openvino.save_model(nncf.quantize(model, nncf.Dataset([self.inputs(shape, 8)[0]])), file, compress_to_fp16=False)
        return self.core.read_model(file)


class OnnxRuntime(OnnxModels):
    def __init__(self):
        super().__init__()
        self.version = onnxruntime.__version__
        self.ways = {"fp32": [("ONNX", False)], "int8": [("QDQ", False), ("QOperator", False)]}

    def prepare(self, network, precision, way, rows):
        file = self.quantised(network, way) if precision == "int8" else self.file(network)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        inputs, noise = self.inputs(session.get_inputs()[0].shape, rows)

        def batch():
            self.normals.fill(noise)
            return session.run(None, inputs)[0]

        return Case(rows, batch)

    def quantised(self, network, way):
        file = MODELS / f"{name_of(network)}-{way}.onnx"
        if not file.exists():
            from onnxruntime import quantization
            from onnxruntime.quantization.shape_inference import quant_pre_process

            shape = onnxruntime.InferenceSession(str(self.file(network))).get_inputs()[0].shape
            samples = iter([self.inputs(shape, 8)[0]])
            calibration = type("Calibration", (quantization.CalibrationDataReader,),
                               {"get_next": lambda _: next(samples, None)})()
            clean = MODELS / f"{name_of(network)}-clean.onnx"
            quant_pre_process(str(self.file(network)), str(clean))
            quantization.quantize_static(str(clean), str(file), calibration, per_channel=True,
                                         quant_format=quantization.QuantFormat[way])
        return file


def answer(peer, cases, order):
    if "prepare" in order:
        precision, way = order["prepare"]["precision"], order["prepare"]["way"]
        if way not in [known for known, _ in peer.ways.get(precision, [])]:
            raise ValueError(f"unknown way '{way}' in {precision}: the ways are {peer.ways}")
        cases.append(peer.prepare(**{key: value for key, value in order["prepare"].items()
                                     if key not in ("architecture", "depth", "widening")}, network=order["prepare"]))
        return {"case": len(cases) - 1}
    if "run" in order:
        return cases[order["run"]].run(order["draws"])
    if "forget" in order:
        cases[order["forget"]] = None
        return {}
    if "memory" in order:
        return {"bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    peer.export(order["export"])
    return {}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    say = lambda value: print(json.dumps(value), file=answers, flush=True)
    peer = {"PyTorch": PyTorch, "OpenVINO": OpenVino, "ONNX Runtime": OnnxRuntime}[NAME]()
    say({"version": peer.version, "ways": peer.ways})
    cases = []
    for line in sys.stdin:
        try:
            say(answer(peer, cases, json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            say({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


if __name__ == "__main__":
    main()
