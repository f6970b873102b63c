"""Peer: ONNX Runtime or OpenVINO, inference of a found network that PyTorch's exporter wrote as ONNX.

In: options (see --help). Out: lines of JSON as serving.py says. Both engines keep float32, take the same file and the same
images, and run on as many threads as they are told.
"""
import argparse
import os
import sys

import numpy
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402


def onnx_file(options):
    """Written once per network and batch into the work folder; the engines of one row read the same file."""
    name = f"{options.net}-{options.layers}-{options.channels}-{options.nodes}-{options.keep}-{options.side}-{options.batch}.onnx"
    path = os.path.join(options.folder, name)
    if not os.path.exists(path):
        net = serving.freeze_statistics(serving.found(options), torch)
        images = torch.randn(options.batch, options.in_channels, options.side, options.side)
        torch.onnx.export(net, (images,), path + ".part", input_names=["image"], output_names=["logits"],
                          dynamo=True, external_data=False, verbose=False)
        os.rename(path + ".part", path)
    return path


def onnxruntime_call(options, path, images):
    import onnxruntime
    how = onnxruntime.SessionOptions()
    how.intra_op_num_threads, how.inter_op_num_threads = options.threads, 1
    how.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, how, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, lambda: session.run(None, {"image": images})


def openvino_call(options, path, images):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": options.threads, "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return openvino.__version__, lambda: request.infer({0: images})


ENGINES = {"onnxruntime": onnxruntime_call, "openvino": openvino_call}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    serving.add_options(parser)
    parser.add_argument("--engine", choices=list(ENGINES), required=True)
    parser.add_argument("--folder", default=".", help="where the ONNX file is kept")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    images = numpy.random.default_rng(1).standard_normal(
        (options.batch, options.in_channels, options.side, options.side), dtype=numpy.float32)
    version, call = ENGINES[options.engine](options, onnx_file(options), images)
    serving.serve({"name": options.engine, "version": version}, call, options)


if __name__ == "__main__":
    main()
