"""What a client does when servers fail, and what it sends."""

import contextlib
import math
import pathlib
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

import grpc
import numpy as np
import xxhash

import tconv
from scripted_server import Failure, ScriptedServer
from tconv import _foreign
from tconv._connection import Bearer, is_local
from tconv.v1 import layer_pb2, tensor_pb2, training_pb2, transposed_conv_pb2

DEV_CERTS = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "dev_certs.sh"
Code = grpc.StatusCode
X = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
FORWARD = transposed_conv_pb2.ForwardResponse(
    output={"dtype": tensor_pb2.DATA_TYPE_FLOAT32, "shape": X.shape, "data": X.tobytes()}
).SerializeToString()
GET = transposed_conv_pb2.GetResponse(layer={"name": "up1"}).SerializeToString()
AT_ONCE = tconv.RetryPolicy(first_delay=0.001, max_delay=0.001)


def retry_info(seconds):
    info = _foreign.RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return info


@contextlib.contextmanager
def connected(*script, **options):
    with ScriptedServer(*script) as server:
        with tconv.Client(server.target, **{"retry": AT_ONCE, **options}) as client:
            yield client, server


class RepetitionTest(unittest.TestCase):
    def test_calls_that_only_read_are_repeated(self):
        with connected(Failure(Code.UNAVAILABLE), Failure(Code.UNAVAILABLE), [FORWARD]) as (
            client,
            server,
        ):
            np.testing.assert_array_equal(client.forward("up1", X).output, X)
            self.assertEqual(len(server.calls), 3)

    def test_calls_that_could_act_twice_are_not(self):
        for call in (
            lambda client: client.create("{}"),
            lambda client: client.build("up1", (None, None, 2)),
            lambda client: client.set_weights("up1", X),
            lambda client: client.delete("up1"),
            lambda client: client.create_chain("c", ["up1"]),
            lambda client: client.delete_chain("c"),
            lambda client: client.set_optimizer("up1", tconv.keras_object("SGD")),
        ):
            with connected(Failure(Code.UNAVAILABLE), [b""]) as (client, server):
                with self.assertRaises(tconv.Unavailable):
                    call(client)
                self.assertEqual(len(server.calls), 1)

    def test_weights_at_a_version_are_repeated(self):
        answer = transposed_conv_pb2.SetWeightsResponse(weights_version=5).SerializeToString()
        with connected(Failure(Code.UNAVAILABLE), [answer]) as (client, _):
            self.assertEqual(client.set_weights("up1", X, if_version=4), 5)

    def test_steps_are_repeated_under_the_same_name(self):
        answer = training_pb2.ApplyGradientsResponse(iterations=1).SerializeToString()
        with connected(Failure(Code.UNAVAILABLE), [answer], [answer]) as (client, server):
            client.apply_gradients("up1", tconv.Weights(X))
            client.apply_gradients("up1", tconv.Weights(X))
            names = [
                training_pb2.ApplyGradientsRequest.FromString(messages[0]).step_id
                for _, _, messages in server.calls
            ]
            self.assertTrue(names[0])
            self.assertEqual(names[0], names[1])
            self.assertNotEqual(names[1], names[2])

    def test_ends_with_the_last_attempt(self):
        with connected(*[Failure(Code.UNAVAILABLE)] * 4) as (client, server):
            with self.assertRaises(tconv.Unavailable):
                client.get("up1")
            self.assertEqual(len(server.calls), 4)

    def test_other_errors_are_not_repeated(self):
        for code, error in (
            (Code.NOT_FOUND, tconv.NotFound),
            (Code.RESOURCE_EXHAUSTED, tconv.ResourceExhausted),
            (Code.INTERNAL, tconv.Internal),
            (Code.OUT_OF_RANGE, tconv.Error),
        ):
            with connected(Failure(code, "why")) as (client, _):
                with self.assertRaisesRegex(error, "why"):
                    client.get("up1")

    def test_a_call_that_was_cut_off_is_repeated(self):
        with connected(Failure(Code.CANCELLED), [GET]) as (client, _):
            self.assertEqual(client.get("up1").name, "up1")

    def test_waits_as_long_as_the_server_asks_for(self):
        full = Failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(7.5))
        with connected(full, [GET]) as (client, _), mock.patch("time.sleep") as sleep:
            client.get("up1")
            self.assertAlmostEqual(sleep.call_args.args[0], 7.5, delta=0.01)

    def test_fails_at_once_when_the_timeout_would_end_before_that(self):
        full = Failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(100))
        with connected(full) as (client, _), mock.patch("time.sleep") as sleep:
            with self.assertRaises(tconv.ResourceExhausted) as caught:
                client.get("up1", timeout=50)
            self.assertEqual(caught.exception.retry_delay, 100)
            sleep.assert_not_called()

    def test_pauses_double_up_to_the_longest(self):
        policy = tconv.RetryPolicy(attempts=9, first_delay=1, max_delay=5)
        lost = tconv.Unavailable("lost")
        for attempt, longest in ((1, 1), (2, 2), (3, 4), (4, 5), (8, 5)):
            for _ in range(50):
                delay = policy.delay_after(attempt, lost)
                self.assertTrue(longest / 2 <= delay <= longest)
        self.assertIsNone(policy.delay_after(9, lost))


class RequestTest(unittest.TestCase):
    def test_tells_balancers_the_layer_and_servers_a_large_size(self):
        with connected([FORWARD], [FORWARD]) as (client, server):
            client.forward("größer als/nichts", X)
            client.forward("up1", np.zeros((1, 1 << 15, 1), np.float32))
            (_, first, _), (_, second, messages) = server.calls
            self.assertEqual(first["tconv-layer"], "gr%C3%B6%C3%9Fer%20als%2Fnichts")
            self.assertNotIn("tconv-message-bytes", first)
            self.assertEqual(second["tconv-message-bytes"], str(len(messages[0])))

    def test_a_timeout_is_over_at_some_time(self):
        client = tconv.Client("127.0.0.1:1", timeout=0.0)
        with self.assertRaises((TimeoutError, tconv.Unavailable)):
            client.get("up1", timeout=0.2)

    def test_fields_that_are_refused_are_told(self):
        bad = _foreign.BadRequest()
        bad.field_violations.add(field="input.shape", description="expected 3")
        with connected(Failure(Code.INVALID_ARGUMENT, "bad", bad)) as (client, _):
            with self.assertRaises(ValueError) as caught:
                client.forward("up1", X)
        violation = tconv.FieldViolation("input.shape", "expected 3")
        self.assertEqual(caught.exception.field_violations, (violation,))

    def test_a_layer_has_the_words_of_keras(self):
        layer = tconv.Conv2DTranspose(4, 3, 2, "same", activation="relu", name="up")
        with connected([b""], [b""], [b""], [b""]) as (client, server):
            client.create(layer, input_shape=(None, None, None, 3))
            client.create('{"filters": 4}')
            client.create({"filters": 4})
            client.create(layer_pb2.LayerConfig(filters=4))
        sent = [
            transposed_conv_pb2.CreateRequest.FromString(messages[0])
            for _, _, messages in server.calls
        ]
        self.assertIn('"class_name": "Conv2DTranspose"', sent[0].keras_json)
        self.assertIn('"activation": "relu"', sent[0].keras_json)
        self.assertEqual(list(sent[0].input_shape), [-1, -1, -1, 3])
        self.assertEqual(sent[1].keras_json, sent[2].keras_json)
        self.assertEqual(sent[3].config.filters, 4)


class TokenTest(unittest.TestCase):
    def test_goes_with_every_call(self):
        with connected([GET], token="secret") as (client, server):
            client.get("up1")
            self.assertEqual(server.calls[0][1]["authorization"], "Bearer secret")

    def test_is_read_again_from_its_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "token")
            file.write_text("old\n")
            bearer = Bearer(None, file)
            with mock.patch("time.monotonic", side_effect=[0.0, 0.5, 2.0]):
                self.assertEqual(bearer.metadata(), [("authorization", "Bearer old")])
                file.write_text("new\n")
                self.assertEqual(bearer.metadata(), [("authorization", "Bearer old")])
                self.assertEqual(bearer.metadata(), [("authorization", "Bearer new")])
                file.write_text("\n")
            with self.assertRaises(ValueError):
                Bearer(None, file).metadata()

    def test_does_not_leave_the_machine_in_plain_text(self):
        for target, local in (
            ("localhost:8500", True),
            ("127.0.0.1:8500", True),
            ("127.1.2.3", True),
            ("[::1]:8500", True),
            ("unix:/run/tconv.socket", True),
            ("dns:///localhost:8500", True),
            ("10.0.0.1:8500", False),
            ("127.evil.example:8500", False),
            ("127.0.0.1.evil.example:8500", False),
            ("localhost.evil.example:8500", False),
            ("ipv4:127.0.0.1:8500,10.0.0.1:8500", False),
        ):
            with self.subTest(target=target):
                self.assertEqual(is_local(target), local)
        with self.assertRaises(ValueError):
            tconv.Client("10.0.0.1:8500", token="secret")
        tconv.Client("10.0.0.1:8500", token="secret", allow_plaintext_token=True).close()

    def test_has_only_characters_that_can_be_sent(self):
        for token in ("", "a b", "a\nb", "ä"):
            with self.subTest(token=token), self.assertRaises(ValueError):
                tconv.Client(token=token)


class ConnectionTest(unittest.TestCase):
    def test_calls_take_turns_on_replicas(self):
        with ScriptedServer(*[[GET]] * 30) as one, ScriptedServer(*[[GET]] * 30) as other:
            with tconv.Client(f"ipv4:{one.target},{other.target}") as client:
                for _ in range(30):
                    client.get("up1")
            self.assertEqual(len(one.calls) + len(other.calls), 30)
            self.assertGreater(len(one.calls), 0)
            self.assertGreater(len(other.calls), 0)

    def test_a_replica_that_is_gone_is_not_missed(self):
        with ScriptedServer() as gone:
            pass
        with ScriptedServer(*[[GET]] * 5) as other:
            with tconv.Client(f"ipv4:{gone.target},{other.target}") as client:
                for _ in range(5):
                    self.assertEqual(client.get("up1").name, "up1")

    @unittest.skipUnless(DEV_CERTS.exists() and shutil.which("openssl"), "needs certificates")
    def test_tls_proves_who_both_sides_are(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([DEV_CERTS, folder], check=True, capture_output=True)
            ca, certificate, key, server_certificate, server_key = (
                pathlib.Path(folder, name)
                for name in ("ca.crt", "client.crt", "client.key", "server.crt", "server.key")
            )
            credentials = grpc.ssl_server_credentials(
                [(server_key.read_bytes(), server_certificate.read_bytes())],
                ca.read_bytes(),
                require_client_auth=True,
            )
            with ScriptedServer([GET], credentials=credentials) as server:
                target = server.target.replace("127.0.0.1", "localhost")
                for known in (
                    tconv.tls_credentials(),
                    tconv.tls_credentials(ca),
                    None,
                ):
                    with tconv.Client(target, credentials=known, retry=AT_ONCE) as client:
                        with self.assertRaises(tconv.Unavailable):
                            client.get("up1")
                known = tconv.tls_credentials(ca, certificate, key)
                with tconv.Client(target, credentials=known) as client:
                    self.assertEqual(client.get("up1").name, "up1")
        with self.assertRaises(ValueError):
            tconv.tls_credentials(certificate="client.crt")


def stream_part(**fields):
    return transposed_conv_pb2.ForwardStreamResponse(**fields).SerializeToString()


START = stream_part(
    start={
        "output": {"dtype": tensor_pb2.DATA_TYPE_FLOAT32, "shape": X.shape},
        "data_format": layer_pb2.DATA_FORMAT_CHANNELS_LAST,
    }
)
DATA = X.tobytes()


def stream_end(checksum=xxhash.xxh3_64_intdigest(DATA)):
    return stream_part(end={"end": {"xxh3": checksum}})


class StreamTest(unittest.TestCase):
    def stream(self, *answer):
        with connected(list(answer)) as (client, _):
            return np.concatenate(list(client.forward_stream("up1", X.shape, X.dtype, [X])))

    def test_is_put_together_wherever_its_pieces_end(self):
        pieces = [stream_part(data=DATA[i : i + 3]) for i in range(0, len(DATA), 3)]
        np.testing.assert_array_equal(self.stream(START, *pieces, stream_end()), X.reshape(-1))

    def test_is_refused_when_it_is_not_what_was_sent(self):
        data = stream_part(data=DATA)
        for error, *answer in (
            (tconv.DataLoss, START, data, stream_end(1)),
            (tconv.Internal, START, data),
            (tconv.Internal, START, stream_end()),
            (tconv.Internal, START, data, data, stream_end()),
            (tconv.Internal, START, START, data, stream_end()),
            (tconv.Internal, START, data, stream_end(), data),
            (tconv.Internal, data, stream_end()),
            (tconv.Internal, START, b"\xff"),
            (tconv.Internal,),
        ):
            with self.subTest(answer=answer), self.assertRaises(error):
                self.stream(*answer)

    def test_raises_what_its_input_raises(self):
        def chunks():
            yield X
            raise KeyError("mine")

        with connected([START]) as (client, _), self.assertRaisesRegex(KeyError, "mine"):
            list(client.forward_stream("up1", (2, 2, 2), X.dtype, chunks()))

    def test_refuses_chunks_of_another_type(self):
        with connected([START]) as (client, _), self.assertRaisesRegex(TypeError, "float32"):
            list(client.forward_stream("up1", X.shape, X.dtype, [X.astype(np.float64)]))

    def test_of_an_array_is_repeated(self):
        answer = [START, stream_part(data=DATA), stream_end()]
        with connected(Failure(Code.UNAVAILABLE), answer) as (client, _):
            output = client.forward("up1", X, transfer="stream", timeout=math.inf).output
            np.testing.assert_array_equal(output, X)


if __name__ == "__main__":
    unittest.main()
