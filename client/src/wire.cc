#include "client/src/wire.h"

#include <absl/strings/str_cat.h>

#include <utility>
#include <variant>

#include "client/src/tensor_fields.h"

namespace tconv {
namespace {

// Where the elements of tensors are in messages.
constexpr codec::FieldPath kForwardInput = kElementsAt<v1::ForwardRequest::kInputFieldNumber>;
constexpr codec::FieldPath kForwardOutput = kElementsAt<v1::ForwardResponse::kOutputFieldNumber>;
constexpr WeightsPath kCreateWeights = kWeightsAt<v1::CreateRequest::kWeightsFieldNumber>;
constexpr WeightsPath kSetWeights = kWeightsAt<v1::SetWeightsRequest::kWeightsFieldNumber>;

}  // namespace

absl::StatusOr<grpc::ByteBuffer> EncodeCreate(const NewLayer& layer) {
  v1::CreateRequest request;
  TensorFields tensors;
  request.set_name(layer.name);
  if (const auto* config = std::get_if<v1::LayerConfig>(&layer.definition)) {
    *request.mutable_config() = *config;
  } else {
    request.set_keras_json(std::get<KerasJson>(layer.definition).text);
  }
  request.mutable_input_shape()->Assign(layer.input_shape.begin(), layer.input_shape.end());
  if (layer.weights) {
    tensors.Set(kCreateWeights, *layer.weights, request.mutable_weights());
  }
  return tensors.Encode(request);
}

absl::StatusOr<grpc::ByteBuffer> EncodeSetWeights(const std::string& name,
                                                  const NewWeights& weights) {
  v1::SetWeightsRequest request;
  TensorFields tensors;
  request.set_name(name);
  tensors.Set(kSetWeights, weights.weights, request.mutable_weights());
  if (weights.if_version) request.set_if_version(*weights.if_version);
  return tensors.Encode(request);
}

absl::StatusOr<grpc::ByteBuffer> EncodeForward(const std::string& name, const Tensor& input,
                                               const ForwardOptions& options) {
  v1::ForwardRequest request;
  TensorFields tensors;
  request.set_name(name);
  tensors.Set(kForwardInput, input, request.mutable_input());
  request.set_compute_losses(options.compute_losses);
  request.set_min_version(options.min_version);
  return tensors.Encode(request);
}

absl::StatusOr<ForwardResult> DecodeForward(UnaryAnswer answer, MemoryPool& memory) {
  v1::ForwardResponse response;
  auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  auto output = TakeTensor("output", response.output(), kForwardOutput, *received, memory);
  if (!output.ok()) return output.status();
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
