// A tconv server called from C++ with nothing but what protoc makes of its .proto files, through
// both of its doors. Usage: raw_grpc [host:port]
//
// <tconv/client.h> is less work: it copies no tensors, repeats calls that failed in passing, and
// streams those that are too large for a message.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "inference/grpc_inference_service.grpc.pb.h"
#include "tconv/v1/transposed_conv.grpc.pb.h"

namespace {

using Layers = tconv::v1::TransposedConvService;
using Models = inference::GRPCInferenceService;

// The text of json.dumps(layer.get_config()), shortened.
constexpr char kKerasJson[] = R"({
  "name": "raw_upsample", "filters": 1, "kernel_size": [2, 2], "strides": [2, 2],
  "padding": "valid"
})";

// Elements as they travel: little-endian, as this machine has them.
std::string ToBytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::vector<float> ToValues(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

tconv::v1::Tensor ToTensor(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  tconv::v1::Tensor tensor;
  tensor.set_dtype(tconv::v1::DATA_TYPE_FLOAT32);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.set_data(ToBytes(values));
  return tensor;
}

// The answer to a request, or the end of the program with the error.
template <typename Answer, typename Stub, typename Request>
Answer Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Answer*),
            const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  Answer answer;
  const grpc::Status status = (stub.*method)(&context, request, &answer);
  if (status.ok()) return answer;
  std::cerr << status.error_code() << ": " << status.error_message() << '\n';
  std::exit(EXIT_FAILURE);
}

std::string Create(Layers::Stub& layers) {
  tconv::v1::CreateRequest request;
  request.set_keras_json(kKerasJson);
  // The kernel is [height, width, filters, channels].
  *request.mutable_weights()->mutable_kernel() = ToTensor({2, 2, 1, 2}, {1, 0, 0, 1, 2, 0, 0, 2});
  *request.mutable_weights()->mutable_bias() = ToTensor({1}, {0.5f});
  return Call(layers, &Layers::Stub::Create, request).layer().name();
}

std::vector<float> Forward(Layers::Stub& layers, const std::string& name,
                           const std::vector<int64_t>& shape, const std::vector<float>& input) {
  tconv::v1::ForwardRequest request;
  request.set_name(name);
  *request.mutable_input() = ToTensor(shape, input);
  return ToValues(Call(layers, &Layers::Stub::Forward, request).output().data());
}

// The same layer as a model of the Open Inference Protocol.
std::vector<float> Infer(Models::Stub& models, const std::string& name,
                         const std::vector<int64_t>& shape, const std::vector<float>& input) {
  inference::ModelInferRequest request;
  request.set_model_name(name);
  auto& tensor = *request.add_inputs();
  tensor.set_name("input");
  tensor.set_datatype("FP32");
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  request.add_raw_input_contents(ToBytes(input));
  return ToValues(Call(models, &Models::Stub::ModelInfer, request).raw_output_contents(0));
}

}  // namespace

int main(int argc, char** argv) {
  const auto channel = grpc::CreateChannel(argc > 1 ? argv[1] : "127.0.0.1:8500",
                                           grpc::InsecureChannelCredentials());
  Layers::Stub layers(channel);
  Models::Stub models(channel);

  const std::string name = Create(layers);
  const std::vector<int64_t> shape = {1, 1, 2, 2};  // [batch, height, width, channels]
  const std::vector<float> input = {1, 2, 3, 4};
  const std::vector<float> output = Forward(layers, name, shape, input);
  const bool is_same = Infer(models, name, shape, input) == output;

  tconv::v1::DeleteRequest request;
  request.set_name(name);
  Call(layers, &Layers::Stub::Delete, request);

  std::cout << name << ':';
  for (const float value : output) std::cout << ' ' << value;
  std::cout << '\n' << (is_same ? "the same through both doors\n" : "the doors differ\n");
  const std::vector<float> expected = {1.5, 2.5, 3.5, 4.5, 2.5, 4.5, 6.5, 8.5};
  return is_same && output == expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
