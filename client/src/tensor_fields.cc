#include "client/src/tensor_fields.h"

#include <absl/strings/str_cat.h>

#include <utility>

namespace tconv {

void TensorFields::Set(codec::FieldPath path, const Tensor& tensor, v1::Tensor* proto) {
  SetInfo(tensor.info(), proto);
  const auto* elements = reinterpret_cast<const std::byte*>(tensor.bytes().data());
  payloads_.push_back({path, {tensor.owner(), elements, tensor.bytes().size()}});
}

void TensorFields::Set(const WeightsPath& path, const Weights& weights, v1::Weights* proto) {
  Set(path.kernel, weights.kernel, proto->mutable_kernel());
  if (weights.bias) Set(path.bias, *weights.bias, proto->mutable_bias());
}

absl::StatusOr<codec::ReceivedPayloads> ParseAnswer(grpc::ByteBuffer* answer,
                                                    google::protobuf::Message* message) {
  auto received = codec::ReceivedPayloads::Parse(answer, message);
  if (received.ok()) return received;
  return absl::InternalError(absl::StrCat("answer of the server: ", received.status().message()));
}

absl::StatusOr<Tensor> TakeTensor(const std::string& name, const v1::Tensor& proto,
                                  codec::FieldPath path, codec::ReceivedPayloads& received,
                                  MemoryPool& memory) {
  const size_t bytes = received.size_bytes(path);
  const auto elements = memory.Allocate(bytes);
  if (!elements.ok()) return elements.status();
  received.MoveTo(path, elements->get());
  TensorInfo info = InfoOf(proto);
  auto tensor =
      Tensor::FromMemory(info.dtype, std::move(info.shape), {elements->get(), bytes}, *elements);
  if (tensor.ok()) return tensor;
  return absl::InternalError(
      absl::StrCat("answer of the server: ", name, ".", tensor.status().message()));
}

absl::StatusOr<Weights> TakeWeights(const std::string& name, const v1::Weights& proto,
                                    const WeightsPath& path, codec::ReceivedPayloads& received,
                                    MemoryPool& memory) {
  auto kernel = TakeTensor(name + ".kernel", proto.kernel(), path.kernel, received, memory);
  if (!kernel.ok()) return kernel.status();
  Weights weights{.kernel = *std::move(kernel)};
  if (!proto.has_bias()) return weights;
  auto bias = TakeTensor(name + ".bias", proto.bias(), path.bias, received, memory);
  if (!bias.ok()) return bias.status();
  weights.bias = *std::move(bias);
  return weights;
}

}  // namespace tconv
