"""ONNX Runtime (Debian 13: python3-onnxruntime, python3-onnx)."""

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import peer

ACTIVATIONS = {"linear": "Identity", "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def make_model(case):
    tensors = {"kernel": case.kernel}
    if case.bias is not None:
        tensors["bias"] = case.bias
    convolution = helper.make_node(
        "ConvTranspose", ["src", *tensors], ["sums"],
        kernel_shape=case.kernel_size, strides=case.strides, dilations=case.dilations,
        pads=case.crop_begin + [max(0, crop) for crop in case.crop_end],
        output_padding=[max(0, -crop) for crop in case.crop_end])
    activation = helper.make_node(ACTIVATIONS[case.activation], ["sums"], ["dst"])
    graph = helper.make_graph(
        [convolution, activation], "case",
        [helper.make_tensor_value_info("src", TensorProto.FLOAT, case.src.shape)],
        [helper.make_tensor_value_info("dst", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()])
    # Versions that every release of the last years reads.
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 15)])


def make_variants(case, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        make_model(case).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {"channels_first": lambda: session.run(["dst"], {"src": case.src})}


peer.serve(f"ONNX Runtime {onnxruntime.__version__}", make_variants)
