import contextlib
import random
import unittest
import warnings

import numpy as np

import tconv
from tconv import arrays
from tconv._codec import Answer, Request, encode
from tconv.v1 import training_pb2, transposed_conv_pb2


def tensor(values):
    array = arrays.to_wire(values)
    return {
        "dtype": arrays.number_of(array.dtype),
        "shape": array.shape,
        "data": array.tobytes(),
    }


KERNEL = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
BIAS = np.arange(3, dtype=np.float16)


class RequestTest(unittest.TestCase):
    def test_is_the_message_that_protobuf_reads(self):
        request = Request(training_pb2.SetOptimizerRequest(name="up1", iterations=7))
        request.put("slots.momentum.kernel", KERNEL)
        request.put("slots.momentum.bias", BIAS)
        request.put("slots.velocity.kernel", KERNEL + 1)
        expected = training_pb2.SetOptimizerRequest(
            name="up1",
            iterations=7,
            slots={
                "momentum": {"kernel": tensor(KERNEL), "bias": tensor(BIAS)},
                "velocity": {"kernel": tensor(KERNEL + 1)},
            },
        )
        read = training_pb2.SetOptimizerRequest.FromString(request.encode())
        self.assertEqual(read, expected)

    def test_has_tensors_without_elements(self):
        request = Request(transposed_conv_pb2.ForwardRequest(name="up1"))
        request.put("input", np.zeros((0, 4, 4, 3), np.float64))
        read = transposed_conv_pb2.ForwardRequest.FromString(request.encode())
        self.assertEqual(list(read.input.shape), [0, 4, 4, 3])
        self.assertEqual(read.input.data, b"")

    def test_is_refused_when_it_is_larger_than_a_message_can_be(self):
        huge = memoryview(np.broadcast_to(np.uint8(0), 1 << 31))
        with self.assertRaises(tconv.ResourceExhausted):
            encode(transposed_conv_pb2.ForwardStreamRequest(), [((2,), huge)])


class AnswerTest(unittest.TestCase):
    message = training_pb2.TrainStepResponse(
        weights_version=3, loss=0.5, output=tensor(KERNEL), input_gradient=tensor(BIAS)
    )
    encoded = message.SerializeToString()

    def test_has_arrays_and_the_other_fields(self):
        answer = Answer(training_pb2.TrainStepResponse, self.encoded)
        np.testing.assert_array_equal(answer.array("output"), KERNEL)
        np.testing.assert_array_equal(answer.array("input_gradient"), BIAS)
        self.assertEqual(answer.message.weights_version, 3)
        self.assertEqual(answer.message.loss, 0.5)
        self.assertEqual(answer.message.output.data, b"")

    def test_has_none_for_what_is_absent(self):
        answer = Answer(training_pb2.BackwardResponse, b"")
        self.assertIsNone(answer.array("input_gradient"))
        self.assertIsNone(answer.array("weight_gradients.kernel"))

    def test_passes_over_fields_that_it_does_not_know(self):
        numbers = b"\xf8\x07\x01" + b"\xf9\x07" + b"8" * 8 + b"\xfd\x07" + b"4" * 4
        unknown = numbers + b"\xfa\x07\x01x"
        answer = Answer(training_pb2.TrainStepResponse, unknown + self.encoded + unknown)
        np.testing.assert_array_equal(answer.array("output"), KERNEL)

    def test_takes_the_last_of_several_payloads(self):
        again = training_pb2.TrainStepResponse(output={"data": (KERNEL + 1).tobytes()})
        answer = Answer(
            training_pb2.TrainStepResponse, self.encoded + again.SerializeToString()
        )
        np.testing.assert_array_equal(answer.array("output"), KERNEL + 1)

    def test_is_refused_unless_the_elements_fit_the_shape(self):
        for fields in (
            {"data": b"abc"},
            {"shape": [4]},
            {"shape": [-1, -3, 2, 2]},
            {"dtype": 77},
            {"dtype": 0},
        ):
            with self.subTest(**fields):
                wrong = {**tensor(KERNEL), **fields}
                message = transposed_conv_pb2.ForwardResponse(output=wrong)
                answer = Answer(transposed_conv_pb2.ForwardResponse, message.SerializeToString())
                with self.assertRaises(tconv.Internal):
                    answer.array("output")

    def test_never_raises_another_error_whatever_the_bytes(self):
        chance = random.Random(1)
        for _ in range(3000):
            data = bytearray(self.encoded)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            del data[chance.randint(len(data) // 2, len(data)):]
            with contextlib.suppress(tconv.Internal), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of protobuf
                Answer(training_pb2.TrainStepResponse, bytes(data)).array("output")


if __name__ == "__main__":
    unittest.main()
