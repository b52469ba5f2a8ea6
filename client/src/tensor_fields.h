// The tensors in messages, whose elements protobuf never sees.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <tconv/calls.h>
#include <tconv/tensor.h>
#include <tconv/v1/layer.pb.h>
#include <tconv/v1/tensor.pb.h>

#include <string>
#include <vector>

#include "client/src/memory_pool.h"
#include "proto/codec/payload_codec.h"

namespace tconv {

// Where the elements of the tensor are to which these field numbers lead.
template <int... kFields>
inline constexpr int kElementsAt[] = {kFields..., v1::Tensor::kDataFieldNumber};

// The same for the tensors of weights.
struct WeightsPath {
  codec::FieldPath kernel;
  codec::FieldPath bias;
};
template <int... kFields>
inline constexpr WeightsPath kWeightsAt = {
    .kernel = kElementsAt<kFields..., v1::Weights::kKernelFieldNumber>,
    .bias = kElementsAt<kFields..., v1::Weights::kBiasFieldNumber>};

// Tensors on their way into a message, whose elements it shares.
class TensorFields {
 public:
  // Writes everything but the elements to `proto`, which is the field at `path` of
  // the message.
  void Set(codec::FieldPath path, const Tensor& tensor, v1::Tensor* proto);
  void Set(const WeightsPath& path, const Weights& weights, v1::Weights* proto);

  // RESOURCE_EXHAUSTED: beyond the 2 GiB of a message.
  absl::StatusOr<grpc::ByteBuffer> Encode(const google::protobuf::Message& message) const {
    return codec::Encode(message, payloads_);
  }

 private:
  std::vector<codec::PlacedPayload> payloads_;
};

// Parses an answer of the server, which is empty afterwards. INTERNAL: it is not one.
absl::StatusOr<codec::ReceivedPayloads> ParseAnswer(grpc::ByteBuffer* answer,
                                                    google::protobuf::Message* message);

// Copies the elements of a received tensor once, into `memory`. `proto` is the field at
// `path` of the answer, and `name` what errors call it.
// INTERNAL: they do not fit its shape. RESOURCE_EXHAUSTED: no memory.
absl::StatusOr<Tensor> TakeTensor(const std::string& name, const v1::Tensor& proto,
                                  codec::FieldPath path, codec::ReceivedPayloads& received,
                                  MemoryPool& memory);
absl::StatusOr<Weights> TakeWeights(const std::string& name, const v1::Weights& proto,
                                    const WeightsPath& path, codec::ReceivedPayloads& received,
                                    MemoryPool& memory);

// Type and shape of a v1::Tensor or v1::TensorHeader.
template <typename Proto>
void SetInfo(const TensorInfo& info, Proto* proto) {
  proto->set_dtype(info.dtype);
  proto->mutable_shape()->Assign(info.shape.begin(), info.shape.end());
}
template <typename Proto>
TensorInfo InfoOf(const Proto& proto) {
  return {proto.dtype(), Shape(proto.shape().begin(), proto.shape().end())};
}

}  // namespace tconv
