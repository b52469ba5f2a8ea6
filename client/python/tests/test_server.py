"""The package against a real server, the one at TCONV_TARGET."""

import concurrent.futures
import json
import os
import pathlib
import unittest
import uuid

import numpy as np

import tconv

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "tests" / "golden" / "cases"


def load(folder, name):
    path = folder / f"{name}.npy"
    return np.load(path) if path.exists() else None


def convolved(x, kernel, bias):
    """With strides as large as the kernel, 2, every output pixel has one source."""
    batch, height, width, _ = x.shape
    y = np.einsum("nhwc,yxfc->nhywxf", x, kernel)
    return y.reshape(batch, 2 * height, 2 * width, kernel.shape[2]) + bias


@unittest.skipUnless("TCONV_TARGET" in os.environ, "needs a server, at TCONV_TARGET")
class ServerTest(unittest.TestCase):
    def setUp(self):
        self.client = tconv.Client(os.environ["TCONV_TARGET"])
        self.addCleanup(self.client.close)
        self.random = np.random.default_rng(7)

    def values(self, *shape):
        return self.random.standard_normal(shape, np.float32)

    def layer(self, definition=None, **options):
        definition = definition or tconv.Conv2DTranspose(5, 2, strides=2)
        name = self.client.create(definition, name=uuid.uuid4().hex, **options).name
        self.addCleanup(self.client.delete, name)
        return name

    def test_a_layer_lives_as_in_keras(self):
        name = self.layer()
        shape = self.client.compute_output_shape(name, (None, 4, None, 3))
        self.assertEqual(shape, (None, 8, None, 5))
        with self.assertRaises(tconv.FailedPrecondition):
            self.client.get_weights(name)
        self.assertEqual(self.client.build(name, (None, None, None, 3)).weights_version, 1)
        kernel, bias = self.values(2, 2, 5, 3), self.values(5)
        self.assertEqual(self.client.set_weights(name, kernel, bias), 2)
        with self.assertRaises(tconv.Aborted):
            self.client.set_weights(name, kernel, bias, if_version=1)
        held = self.client.get_weights(name)
        np.testing.assert_array_equal(held.kernel, kernel)
        np.testing.assert_array_equal(held.bias, bias)
        x = self.values(4, 8, 6, 3)
        result = self.client.forward(name, x, min_version=2)
        np.testing.assert_allclose(result.output, convolved(x, kernel, bias), 1e-5, 1e-5)
        self.assertEqual(result.weights_version, 2)
        self.assertGreater(result.timing.compute, 0)
        self.assertEqual(self.client.get(name).parameter_count, 65)
        self.assertIn(name, [layer.name for layer in self.client.list_layers()])

    def test_computes_what_keras_has_recorded(self):
        cases = [
            folder
            for folder in sorted(GOLDEN.iterdir())
            if folder.name.startswith(("dtype-", "act-cf-", "losses-"))
        ]
        self.assertTrue(cases)
        for folder in cases:
            with self.subTest(case=folder.name):
                expect = json.loads((folder / "expect.json").read_text())
                weights = tconv.Weights(load(folder, "kernel"), load(folder, "bias"))
                name = self.layer((folder / "layer.json").read_text(), weights=weights)
                result = self.client.forward(name, load(folder, "input"), compute_losses=True)
                bound = expect["tolerance"]
                np.testing.assert_allclose(
                    tconv.to_float32(result.output).astype(np.float64)
                    if result.output.dtype != np.float64
                    else result.output,
                    load(folder, "output"),
                    bound["rtol"],
                    bound["atol"],
                )
                self.assertEqual(len(result.losses), len(expect["losses"]))

    def test_takes_and_gives_every_floating_point_type(self):
        x = self.values(2, 3, 3, 3)
        narrow = tconv.to_bfloat16(x)
        for policy, dtype in (
            ("float32", np.float32),
            ("float64", np.float64),
            ("float16", np.float16),
            ("bfloat16", tconv.bfloat16),
        ):
            name = self.layer(
                tconv.Conv2DTranspose(5, 2, dtype=policy),
                weights=tconv.Weights(self.values(2, 2, 5, 3), np.zeros(5)),
            )
            for given in (x, x.astype(np.float64), x.astype(np.float16), narrow, x.astype(">f8")):
                with self.subTest(policy=policy, given=given.dtype):
                    self.assertEqual(self.client.forward(name, given).output.dtype, dtype)
            self.assertEqual(self.client.get_weights(name).kernel.dtype, dtype)
        np.testing.assert_array_equal(
            self.client.forward(name, narrow).output,
            self.client.forward(name, tconv.to_float32(narrow)).output,
        )

    def test_streams_have_the_same_bits_in_both_data_formats(self):
        for data_format, shape in (
            ("channels_last", (3, 9, 4, 3)),
            ("channels_first", (3, 3, 9, 4)),
        ):
            layer = tconv.Conv2DTranspose(5, 3, strides=2, data_format=data_format)
            name = self.layer(layer, input_shape=(None, 3, 3, 3))
            x = self.values(*shape)
            expected = self.client.forward(name, x, transfer="message").output
            np.testing.assert_array_equal(
                self.client.forward(name, x, transfer="stream").output, expected
            )
            order = x if data_format == "channels_last" else x.swapaxes(1, 2)
            with self.client.forward_stream(name, shape, x.dtype, list(order)) as stream:
                pieces = np.concatenate(list(stream))
            if data_format == "channels_first":
                expected = expected.swapaxes(1, 2)
            np.testing.assert_array_equal(pieces, expected.reshape(-1))

    def test_large_tensors_travel_as_streams_by_themselves(self):
        kernel, bias = self.values(2, 2, 1100, 600), self.values(1100)
        name = self.layer(tconv.Conv2DTranspose(1100, 2, strides=2), input_shape=(1, 1, 1, 600))
        self.assertGreater(kernel.nbytes, 8 << 20)
        self.client.set_weights(name, kernel, bias, if_version=1)
        np.testing.assert_array_equal(self.client.get_weights(name).kernel, kernel)
        name = self.layer(weights=tconv.Weights(kernel[:, :, :5, :3], bias[:5]))
        x = self.values(8, 300, 300, 3)
        self.assertGreater(x.nbytes, 8 << 20)
        expected = convolved(x, kernel[:, :, :5, :3], bias[:5])
        np.testing.assert_allclose(self.client.forward(name, x).output, expected, 1e-4, 1e-4)

    def test_a_stream_can_be_given_up(self):
        name = self.layer(input_shape=(None, None, None, 3))
        x = np.ones((1, 64, 64, 3), np.float32)

        def endless():
            while True:
                yield x

        with self.client.forward_stream(name, (10**6, 64, 64, 3), x.dtype, endless()) as stream:
            self.assertGreater(next(iter(stream)).size, 0)
        self.assertEqual(self.client.forward(name, x).output.shape, (1, 128, 128, 5))

    def test_empty_batches_are_answered(self):
        name = self.layer(input_shape=(None, None, None, 3))
        for transfer in ("message", "stream"):
            output = self.client.forward(name, np.zeros((0, 4, 4, 3)), transfer=transfer).output
            self.assertEqual(output.shape, (0, 8, 8, 5))

    def test_errors_say_what_is_wrong_and_where(self):
        name = self.layer(input_shape=(None, None, None, 3))
        with self.assertRaises(tconv.AlreadyExists):
            self.client.create(tconv.Conv2DTranspose(1, 1), name=name)
        with self.assertRaises(LookupError):
            self.client.forward("no such layer", np.zeros((1, 1, 1, 3)))
        with self.assertRaisesRegex(ValueError, "expected 3 channels") as caught:
            self.client.forward(name, np.zeros((1, 1, 1, 4)))
        self.assertEqual(caught.exception.field_violations[0].field, "input.shape")
        with self.assertRaisesRegex(tconv.InvalidArgument, "strides"):
            self.client.create(tconv.Conv1DTranspose(1, 1, strides=0))
        with self.assertRaises(tconv.InvalidArgument):
            self.client.forward(name, np.zeros(3, np.float32), transfer="stream")

    def test_many_threads_share_a_client(self):
        name = self.layer(input_shape=(None, None, None, 3))
        inputs = [self.values(1, 4, 4, 3) for _ in range(32)]
        expected = [self.client.forward(name, x).output for x in inputs]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            outputs = list(pool.map(lambda x: self.client.forward(name, x).output, inputs))
        np.testing.assert_array_equal(outputs, expected)

    def test_a_layer_learns(self):
        kernel, bias = self.values(2, 2, 5, 3), self.values(5)
        name = self.layer(weights=tconv.Weights(kernel, bias))
        x, target = self.values(4, 3, 3, 3), self.values(4, 6, 6, 5)
        with self.assertRaises(tconv.FailedPrecondition):
            self.client.train_step(name, x, target, "mean_squared_error")
        self.client.set_optimizer(name, tconv.keras_object("SGD", learning_rate=0.1, momentum=0.9))
        step = self.client.train_step(name, x, target, "mean_squared_error", return_output=True)
        self.assertAlmostEqual(step.loss, float(np.mean((step.output - target) ** 2)), 4)
        upstream = 2 * (step.output - target) / target.size
        named = self.client.train_step(
            name, x, upstream=upstream, step_id="mine", return_input_gradient=True
        )
        self.assertEqual((named.iterations, named.loss), (2, None))
        self.assertEqual(named.input_gradient.shape, x.shape)
        again = self.client.train_step(name, x, upstream=upstream, step_id="mine")
        self.assertTrue(again.already_applied)
        self.assertEqual(again.weights_version, named.weights_version)

    def test_gradients_and_optimizers_move(self):
        name = self.layer(weights=tconv.Weights(self.values(2, 2, 5, 3), self.values(5)))
        x, upstream = self.values(2, 3, 3, 3), self.values(2, 6, 6, 5)
        self.client.set_optimizer(name, {"class_name": "Adam", "config": {"learning_rate": 0.01}})
        gradients = self.client.backward(name, x, upstream)
        np.testing.assert_allclose(
            gradients.weight_gradients.bias, upstream.sum((0, 1, 2)), 1e-4, 1e-4
        )
        version = gradients.weights_version
        step = self.client.apply_gradients(name, gradients.weight_gradients, if_version=version)
        self.assertEqual(step, tconv.StepResult(version + 1, 1, False))
        status = self.client.get_optimizer(name)
        self.assertIsNone(status.slots.velocity_hat)
        other = self.layer(input_shape=(None, None, None, 3))
        self.client.set_optimizer(
            other, status.keras_json, iterations=status.iterations, slots=status.slots
        )
        moved = self.client.get_optimizer(other)
        np.testing.assert_array_equal(moved.slots.momentum.kernel, status.slots.momentum.kernel)
        self.assertEqual(moved.iterations, 1)
        self.client.set_trainable(name, False)
        with self.assertRaises(tconv.FailedPrecondition):
            self.client.apply_gradients(name, gradients.weight_gradients)

    def test_tells_how_the_server_is(self):
        self.client.check_health()
        with self.assertRaises(tconv.NotFound):
            self.client.check_health("no.such.service")
        before = self.client.set_log_level("error")
        self.assertEqual(self.client.get_log_level(), "error")
        self.assertEqual(self.client.set_log_level(before), "error")


if __name__ == "__main__":
    unittest.main()
