#!/usr/bin/python3
"""Calls a tconv server through the Open Inference Protocol, with nothing but its .proto files.

    open_inference.py [HOST:PORT [PROTO_FOLDER]]

A layer, which is created as in forward.py, is a model of this protocol: Triton's and KServe's
clients speak it. tconv_rpc.py has the few functions that make messages.
"""

import numpy as np

from tconv_rpc import connect, to_array, to_tensor, to_weights

# The text of json.dumps(layer.get_config()), shortened.
KERAS_JSON = """{"name": "v2_upsample", "filters": 5, "kernel_size": [2, 2], "strides": [2, 2],
                 "padding": "valid", "activation": "relu"}"""

client = connect()
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 8, 6, 3), np.float32)  # [batch, height, width, channels]
weights = to_weights(rng.standard_normal((2, 2, 5, 3), np.float32), np.zeros(5, np.float32))
name = client.call("Create", keras_json=KERAS_JSON, weights=weights).layer.name

assert client.call("ModelReady", name=name).ready
model = client.call("ModelMetadata", name=name)
for tensor in (*model.inputs, *model.outputs):
    print(f"{tensor.name}: {tensor.datatype} {list(tensor.shape)}")

# The elements as they are in memory, behind the message.
raw = client.call("ModelInfer", model_name=name, id="1", raw_input_contents=[x.tobytes()],
                  inputs=[{"name": "input", "datatype": "FP32", "shape": x.shape}])
y = np.frombuffer(raw.raw_output_contents[0], "<f4").reshape(raw.outputs[0].shape)

# Or as numbers in the message, which takes longer.
typed = client.call("ModelInfer", model_name=name, id="2", inputs=[{
    "name": "input", "datatype": "FP32", "shape": x.shape,
    "contents": {"fp32_contents": x.reshape(-1)}}])
numbers = np.array(typed.outputs[0].contents.fp32_contents, np.float32)

forward = to_array(client.call("Forward", name=name, input=to_tensor(x)).output)
client.call("Delete", name=name)
np.testing.assert_array_equal(y, forward)
np.testing.assert_array_equal(numbers.reshape(y.shape), forward)
print(f"{name}: {x.shape} -> {y.shape}, the same as through tconv.v1")
