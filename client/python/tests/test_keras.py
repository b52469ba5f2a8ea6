"""Layers and models of Keras, without Keras."""

import json
import os
import pathlib
import unittest
import uuid

import numpy as np

import tconv

SAVED = pathlib.Path(__file__).resolve().parents[3] / "tests/golden/files/sequential-compiled"


class FakeLayer:
    """What from_keras() sees of a layer."""

    def __init__(self, name, weights=(), **config):
        self.name, self._weights = name, list(weights)
        self._config = {"name": name, "trainable": True, "dtype": "float32", **config}

    def get_config(self):
        return self._config

    def get_weights(self):
        return self._weights


def fake(class_name, *arguments, **config):
    return type(class_name, (FakeLayer,), {})(*arguments, **config)


class Sequential:
    def __init__(self, name, *layers):
        self.name, self.layers = name, layers


def conv(name, channels, filters, **config):
    random = np.random.default_rng(channels)
    weights = [random.standard_normal((2, 2, filters, channels), np.float32), np.ones(filters)]
    config = {"filters": filters, "kernel_size": (2, 2), "strides": (2, 2), **config}
    return fake("Conv2DTranspose", name, weights, **config)


class UnsuitableModelTest(unittest.TestCase):
    def test_is_refused_before_anything_is_created(self):
        class NoClient:
            pass

        built = conv("up", 3, 4)
        for error, words, model in (
            (TypeError, "pool: expected a transposed", fake("MaxPooling2D", "pool")),
            (ValueError, "up: expected a layer that is built", fake("Conv2DTranspose", "up")),
            (TypeError, "dense: expected", Sequential("s", built, fake("Dense", "dense"))),
            (ValueError, "up2: expected", Sequential("s", built, fake("Conv2DTranspose", "up2"))),
            (TypeError, "inner", Sequential("s", built, Sequential("t", fake("PReLU", "inner")))),
            (ValueError, "s: expected at least one", Sequential("s", fake("InputLayer", "in"))),
            (ValueError, "relu: expected a", Sequential("s", fake("ReLU", "relu"), built)),
            (
                ValueError,
                "act: expected float32",
                Sequential("s", built, fake("ReLU", "act", dtype={"config": {"name": "float16"}})),
            ),
        ):
            with self.subTest(words=words), self.assertRaisesRegex(error, words):
                tconv.from_keras(model, NoClient())


@unittest.skipUnless("TCONV_TARGET" in os.environ, "needs a server, at TCONV_TARGET")
class FromKerasTest(unittest.TestCase):
    def setUp(self):
        self.client = tconv.Client(os.environ["TCONV_TARGET"])
        self.addCleanup(self.client.close)
        self.name = uuid.uuid4().hex
        self.x = np.random.default_rng(0).standard_normal((2, 4, 4, 3), np.float32)

    def names(self):
        layers = [layer.name for layer in self.client.list_layers()]
        chains = [chain.name for chain in self.client.list_chains()]
        return [name for name in layers + chains if name.startswith(self.name)]

    def test_a_layer_is_called_as_in_keras(self):
        layer = conv("up", 3, 4, activation="relu")
        remote = tconv.from_keras(layer, self.client, name=self.name)
        y = np.einsum("nhwc,yxfc->nhywxf", self.x, layer.get_weights()[0]).reshape(2, 8, 8, 4) + 1
        np.testing.assert_allclose(remote(self.x), np.maximum(y, 0), 1e-5, 1e-5)
        np.testing.assert_array_equal(remote.get_weights()[0], layer.get_weights()[0])
        remote.set_weights([np.zeros((2, 2, 4, 3)), np.full(4, 5.0)])
        self.assertTrue((remote(self.x) == 5).all())
        remote.delete()
        self.assertEqual(self.names(), [])

    def test_a_sequential_becomes_a_chain(self):
        model = Sequential(
            "decoder",
            fake("InputLayer", "in"),
            conv("up1", 3, 4),
            fake("LeakyReLU", "leaky", negative_slope=0.25, dtype={"config": {"name": "float32"}}),
            fake("Dropout", "drop", rate=0.5),
            Sequential("inner", conv("up2", 4, 2), fake("Activation", "act", activation="tanh")),
        )
        remote = tconv.from_keras(model, self.client, name=self.name)
        self.addCleanup(remote.delete)
        first, second = remote.layers
        z = first(self.x)
        expected = np.tanh(second(np.where(z < 0, np.float32(0.25) * z, z)))
        np.testing.assert_allclose(remote(self.x), expected, 1e-5, 1e-6)
        self.assertEqual([layer.name for layer in remote.layers],
                         [f"{self.name}.up1", f"{self.name}.up2"])
        chain = self.client.get_chain(self.name)
        self.assertEqual(len(chain.steps), 4)
        self.assertEqual(list(chain.input_shape), [-1, -1, -1, 3])
        shape = self.client.compute_output_shape(self.name, (None, 4, 4, 3))
        self.assertEqual(shape, (None, 16, 16, 2))
        with self.assertRaises(tconv.FailedPrecondition):
            self.client.delete(first.name)

    def test_a_model_of_keras_computes_what_it_computed_there(self):
        saved = json.loads((SAVED / "config_in_archive.json").read_text())
        layers = []
        for layer in saved["config"]["layers"]:
            config = dict(layer["config"])
            files = [SAVED / f"{config['name']}__{weight}.npy" for weight in ("kernel", "bias")]
            weights = [np.load(file) for file in files if file.exists()]
            layers.append(fake(layer["class_name"], config.pop("name"), weights, **config))
        remote = tconv.from_keras(Sequential("saved", *layers), self.client, name=self.name)
        self.addCleanup(remote.delete)
        y = remote(np.load(SAVED / "input_0.npy"))
        np.testing.assert_allclose(y, np.load(SAVED / "output_0.npy"), 1e-5, 1e-5)

    def test_a_model_that_cannot_be_created_leaves_nothing(self):
        for model in (
            Sequential("s", conv("up1", 3, 4), conv("up2", 5, 2)),  # the channels do not fit
            Sequential("s", conv("up1", 3, 4), conv("up1", 4, 2)),  # the same name twice
            Sequential("s", conv("up1", 3, 4), conv("up2", 4, 2, padding="full")),
            Sequential("s", conv("up1", 3, 4), fake("LeakyReLU", "leaky", slope="steep")),
        ):
            with self.assertRaises(tconv.Error):
                tconv.from_keras(model, self.client, name=self.name)
            self.assertEqual(self.names(), [])


if __name__ == "__main__":
    unittest.main()
