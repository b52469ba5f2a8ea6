#!/usr/bin/env python3
"""A layer of a tconv server inside of a Keras 3 model.

    keras_layer.py [HOST:PORT [PROTO_FOLDER]]

Needs keras 3 with torch, and what tconv_rpc.py needs. Trains a model whose last layer
is on the server, and the same model without a server, and compares them.
"""

import json
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np

from tconv_rpc import connect, to_array, to_tensor, to_weights


class RemoteLayer(keras.layers.Layer):
    """A layer on the server, whose weights and optimizer are there.

    It learns while Keras goes backward: one TrainStep takes the upstream gradient,
    steps, and answers the gradient for the layers in front. For backends that run
    Python as they go: torch, and TensorFlow with run_eagerly.
    """

    def __init__(self, client, remote_name):
        super().__init__()
        self._client, self._remote_name = client, remote_name

    def _call(self, rpc, **fields):
        return self._client.call(rpc, name=self._remote_name, **fields)

    def call(self, x):
        @keras.ops.custom_gradient
        def run(x):
            x_tensor = to_tensor(keras.ops.convert_to_numpy(x))
            y = to_array(self._call("Forward", input=x_tensor).output)

            def backward(*args, upstream=None):
                upstream = args[0] if upstream is None else upstream
                answer = self._call(
                    "TrainStep", input=x_tensor, return_input_gradient=True,
                    upstream=to_tensor(keras.ops.convert_to_numpy(upstream)))
                return keras.ops.convert_to_tensor(to_array(answer.input_gradient).copy())

            return keras.ops.convert_to_tensor(y.copy()), backward

        return run(x)

    def compute_output_shape(self, input_shape):
        shape = [-1 if extent is None else extent for extent in input_shape]
        output = self._call("ComputeOutputShape", input_shape=shape).output_shape
        return tuple(None if extent < 0 else extent for extent in output)


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def encoder():
    return keras.layers.Conv2D(4, 1, kernel_initializer=keras.initializers.GlorotUniform(seed=0))


keras.utils.set_random_seed(0)
client = connect()
decoder = keras.layers.Conv2DTranspose(2, 3, strides=2, padding="same", activation="relu",
                                       bias_initializer=keras.initializers.Constant(0.5))
decoder.build((None, None, None, 4))
name = client.call("Create", name="keras_decoder",
                   keras_json=json.dumps(keras.saving.serialize_keras_object(decoder)),
                   weights=to_weights(*decoder.get_weights())).layer.name
client.call("SetOptimizer", name=name, keras_json=json.dumps(keras.optimizers.serialize(sgd())))

rng = np.random.default_rng(0)
x = rng.standard_normal((16, 6, 6, 3), np.float32)
target = rng.random((16, 12, 12, 2), np.float32)
losses = []
for layer in (RemoteLayer(client, name), decoder):
    model = keras.Sequential([encoder(), layer])
    model.compile(optimizer=sgd(), loss="mse")
    history = model.fit(x, target, batch_size=4, epochs=5, shuffle=False, verbose=0)
    losses.append(history.history["loss"])
print("loss by epochs:              ", np.round(losses[0], 5))
print("loss by epochs, no server:   ", np.round(losses[1], 5))
trained = client.call("GetWeights", name=name).weights
client.call("Delete", name=name)
np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
np.testing.assert_allclose(to_array(trained.kernel), decoder.get_weights()[0], rtol=1e-3, atol=1e-4)
print("both models are the same after training")
