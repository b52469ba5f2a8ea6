#!/usr/bin/python3
"""Calls a tconv server from Python, with nothing but its .proto files.

    forward.py [HOST:PORT [PROTO_FOLDER]]

Creates a layer from Keras' JSON, sets its weights, computes, and compares with
numpy. tconv_rpc.py has the few functions that make messages.
"""

import numpy as np

from tconv_rpc import connect, to_array, to_tensor, to_weights

# The text of json.dumps(layer.get_config()), shortened.
KERAS_JSON = """{"name": "python_upsample", "filters": 5, "kernel_size": [2, 2], "strides": [2, 2],
                 "padding": "valid", "activation": "relu"}"""

client = connect()
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 8, 6, 3), np.float32)  # [batch, height, width, channels]
kernel = rng.standard_normal((2, 2, 5, 3), np.float32)  # [height, width, filters, channels]
bias = rng.standard_normal(5, np.float32)

layer = client.call("Create", keras_json=KERAS_JSON, input_shape=[-1, -1, -1, 3]).layer
client.call("SetWeights", name=layer.name, weights=to_weights(kernel, bias))
y = to_array(client.call("Forward", name=layer.name, input=to_tensor(x)).output)
client.call("Delete", name=layer.name)

# With strides as large as the kernel, every output pixel has one source.
expected = np.maximum(
    np.einsum("nhwc,yxfc->nhywxf", x, kernel).reshape(4, 16, 12, 5) + bias, 0)
np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
print(f"{layer.name}: {x.shape} -> {y.shape}, as numpy computes it")
