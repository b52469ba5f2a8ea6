// Calls a tconv server from Node, with nothing but its .proto files, through both of its doors.
//
//     npm install
//     node forward.js [HOST:PORT [PROTO_FOLDER]]
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const besides = fileURLToPath(new URL("../../../proto", import.meta.url));
const [target = "127.0.0.1:8500", protos = besides] = process.argv.slice(2);
const api = grpc.loadPackageDefinition(
  protoLoader.loadSync(
    ["tconv/v1/transposed_conv.proto", "inference/grpc_inference_service.proto"],
    { includeDirs: [protos], keepCase: true, longs: Number, enums: String, defaults: true }));

// A client of a service, whose calls are promises.
function connect(Service) {
  const client = new Service(target, grpc.credentials.createInsecure(), {
    "grpc.max_send_message_length": -1, "grpc.max_receive_message_length": -1 });
  return (method, request) => new Promise((resolve, reject) => {
    const deadline = Date.now() + 60_000;
    client[method](request, { deadline }, (error, answer) =>
      error ? reject(error) : resolve(answer));
  });
}

const toBytes = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
// The bytes of an answer may begin anywhere, a Float32Array may not.
const toValues = (bytes) => new Float32Array(Uint8Array.from(bytes).buffer);
const toTensor = (shape, values) =>
  ({ dtype: "DATA_TYPE_FLOAT32", shape, data: toBytes(Float32Array.from(values)) });

// The text of json.dumps(layer.get_config()), shortened.
const KERAS_JSON = `{"name": "node_upsample", "filters": 1, "kernel_size": [2, 2],
                     "strides": [2, 2], "padding": "valid"}`;
const shape = [1, 1, 2, 2];  // [batch, height, width, channels]
const input = Float32Array.of(1, 2, 3, 4);

const tconv = connect(api.tconv.v1.TransposedConvService);
const { layer: { name } } = await tconv("Create", {
  keras_json: KERAS_JSON,
  weights: {  // the kernel is [height, width, filters, channels]
    kernel: toTensor([2, 2, 1, 2], [1, 0, 0, 1, 2, 0, 0, 2]), bias: toTensor([1], [0.5]) } });
try {
  const { output } = await tconv("Forward", { name, input: toTensor(shape, input) });
  console.log(`${name}: ${shape.join("x")} -> ${output.shape.join("x")}:`, toValues(output.data));
  assert.deepEqual([...toValues(output.data)], [1.5, 2.5, 3.5, 4.5, 2.5, 4.5, 6.5, 8.5]);

  // The same layer as a model of the Open Inference Protocol.
  const inference = connect(api.inference.GRPCInferenceService);
  const answer = await inference("ModelInfer", {
    model_name: name,
    inputs: [{ name: "input", datatype: "FP32", shape }],
    raw_input_contents: [toBytes(input)] });
  assert.deepEqual(answer.outputs[0].shape, output.shape);
  assert.deepEqual(answer.raw_output_contents[0], output.data);
  console.log(`version ${answer.model_version}: the same through both doors`);
} finally {
  await tconv("Delete", { name });
}
