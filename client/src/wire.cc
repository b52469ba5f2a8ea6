#include "client/src/wire.h"

#include <absl/strings/str_cat.h>

#include <utility>
#include <variant>
#include <vector>

namespace tconv {
namespace {

// Where the elements of tensors are in messages.
constexpr int kForwardInput[] = {v1::ForwardRequest::kInputFieldNumber,
                                 v1::Tensor::kDataFieldNumber};
constexpr int kForwardOutput[] = {v1::ForwardResponse::kOutputFieldNumber,
                                  v1::Tensor::kDataFieldNumber};
constexpr int kCreateKernel[] = {v1::CreateRequest::kWeightsFieldNumber,
                                 v1::Weights::kKernelFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kCreateBias[] = {v1::CreateRequest::kWeightsFieldNumber,
                               v1::Weights::kBiasFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kSetKernel[] = {v1::SetWeightsRequest::kWeightsFieldNumber,
                              v1::Weights::kKernelFieldNumber, v1::Tensor::kDataFieldNumber};
constexpr int kSetBias[] = {v1::SetWeightsRequest::kWeightsFieldNumber,
                            v1::Weights::kBiasFieldNumber, v1::Tensor::kDataFieldNumber};

codec::PlacedPayload ElementsAt(codec::FieldPath path, const Tensor& tensor) {
  return {path,
          {tensor.owner(), reinterpret_cast<const std::byte*>(tensor.bytes().data()),
           tensor.bytes().size()}};
}

template <typename Proto>
void SetInfo(const TensorInfo& info, Proto* proto) {
  proto->set_dtype(info.dtype);
  proto->mutable_shape()->Assign(info.shape.begin(), info.shape.end());
}

template <typename Proto>
TensorInfo InfoOf(const Proto& proto) {
  return {proto.dtype(), Shape(proto.shape().begin(), proto.shape().end())};
}

// Everything but the elements, whose places are added to `payloads`.
void SetWeights(const Weights& weights, codec::FieldPath kernel, codec::FieldPath bias,
                v1::Weights* proto, std::vector<codec::PlacedPayload>* payloads) {
  SetInfo(weights.kernel.info(), proto->mutable_kernel());
  payloads->push_back(ElementsAt(kernel, weights.kernel));
  if (!weights.bias) return;
  SetInfo(weights.bias->info(), proto->mutable_bias());
  payloads->push_back(ElementsAt(bias, *weights.bias));
}

}  // namespace

absl::StatusOr<grpc::ByteBuffer> EncodeCreate(const NewLayer& layer) {
  v1::CreateRequest request;
  std::vector<codec::PlacedPayload> payloads;
  request.set_name(layer.name);
  if (const auto* config = std::get_if<v1::LayerConfig>(&layer.definition)) {
    *request.mutable_config() = *config;
  } else {
    request.set_keras_json(std::get<KerasJson>(layer.definition).text);
  }
  request.mutable_input_shape()->Assign(layer.input_shape.begin(), layer.input_shape.end());
  if (layer.weights) {
    SetWeights(*layer.weights, kCreateKernel, kCreateBias, request.mutable_weights(), &payloads);
  }
  return codec::Encode(request, payloads);
}

absl::StatusOr<grpc::ByteBuffer> EncodeSetWeights(const std::string& name,
                                                  const NewWeights& weights) {
  v1::SetWeightsRequest request;
  std::vector<codec::PlacedPayload> payloads;
  request.set_name(name);
  SetWeights(weights.weights, kSetKernel, kSetBias, request.mutable_weights(), &payloads);
  if (weights.if_version) request.set_if_version(*weights.if_version);
  return codec::Encode(request, payloads);
}

absl::StatusOr<grpc::ByteBuffer> EncodeForward(const std::string& name, const Tensor& input,
                                               const ForwardOptions& options) {
  v1::ForwardRequest request;
  request.set_name(name);
  SetInfo(input.info(), request.mutable_input());
  request.set_compute_losses(options.compute_losses);
  request.set_min_version(options.min_version);
  return codec::Encode(request, {ElementsAt(kForwardInput, input)});
}

absl::StatusOr<codec::ReceivedPayloads> ParseAnswer(grpc::ByteBuffer* answer,
                                                    google::protobuf::Message* message) {
  auto received = codec::ReceivedPayloads::Parse(answer, message);
  if (received.ok()) return received;
  return absl::InternalError(absl::StrCat("answer of the server: ", received.status().message()));
}

absl::StatusOr<ForwardResult> DecodeForward(UnaryAnswer answer, MemoryPool& memory) {
  v1::ForwardResponse response;
  auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  const size_t bytes = received->size_bytes(kForwardOutput);
  const auto elements = memory.Allocate(bytes);
  if (!elements.ok()) return elements.status();
  received->MoveTo(kForwardOutput, elements->get());
  TensorInfo info = InfoOf(response.output());
  auto output =
      Tensor::FromMemory(info.dtype, std::move(info.shape), {elements->get(), bytes}, *elements);
  if (!output.ok()) {
    return absl::InternalError(
        absl::StrCat("answer of the server: output.", output.status().message()));
  }
  return ForwardResult{.output = *std::move(output),
                       .weights_version = response.weights_version(),
                       .losses = {response.losses().begin(), response.losses().end()},
                       .timing = answer.timing};
}

v1::TensorHeader ToProto(const TensorInfo& info) {
  v1::TensorHeader header;
  SetInfo(info, &header);
  return header;
}

TensorInfo FromProto(const v1::TensorHeader& header) { return InfoOf(header); }

absl::StatusOr<size_t> AnnouncedBytes(const TensorInfo& info) {
  auto bytes = SizeInBytes(info);
  if (bytes.ok()) return bytes;
  return absl::InternalError(absl::StrCat("answer of the server: ", bytes.status().message()));
}

}  // namespace tconv
