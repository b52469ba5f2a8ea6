// v1::Tensor and the tensors of the server, both ways, without copies of their
// elements.
#pragma once

#include <tconv/v1/layer.pb.h>
#include <tconv/v1/tensor.pb.h>

#include <optional>
#include <string_view>
#include <vector>

#include "proto/codec/payload_codec.h"
#include "server/base/status.h"
#include "server/layer/weights.h"
#include "server/tensor/tensor.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// Type and shape of a tensor whose elements are elsewhere.
struct TensorType {
  DType dtype = DType::kFloat32;
  Shape shape;

  int64_t size_bytes() const { return ConstTensorView{dtype, shape, nullptr}.size_bytes(); }
};

// INVALID_ARGUMENT about `dtype` or `shape`.
StatusOr<TensorType> TypeFromProto(const v1::Tensor& tensor);
StatusOr<TensorType> TypeFromProto(const v1::TensorHeader& header);

v1::DataType ToProto(DType dtype);

// Everything but the elements.
void ToProto(ConstTensorView tensor, v1::Tensor* out);
void ToProto(ConstTensorView tensor, v1::TensorHeader* out);
void ToProto(const WeightTensors& tensors, v1::Weights* out);

// The elements of `tensor`, kept alive by `owner`, for codec::Encode().
codec::Payload PayloadOf(ConstTensorView tensor, std::shared_ptr<const void> owner);

// A tensor that lies in a received message.
class ReceivedTensor final : public TensorSource {
 public:
  // The field at `path` below the root of the message, whose elements `payloads`
  // has; both must outlive this. INVALID_ARGUMENT about `dtype`, `shape` or
  // `data`; about `region` when the elements are elsewhere.
  static StatusOr<ReceivedTensor> Make(const v1::Tensor& tensor, codec::FieldPath path,
                                       codec::ReceivedPayloads& payloads);
  // The payload at `path`, which errors call `field`.
  static StatusOr<ReceivedTensor> Make(TensorType type, codec::FieldPath path,
                                       std::string_view field, codec::ReceivedPayloads& payloads);

  DType dtype() const override { return type_.dtype; }
  const Shape& shape() const override { return type_.shape; }
  void MoveTo(std::byte* dst) override { payloads_->MoveTo(path_, dst); }

 private:
  ReceivedTensor(TensorType type, std::vector<int> path, codec::ReceivedPayloads& payloads)
      : type_(std::move(type)), path_(std::move(path)), payloads_(&payloads) {}

  TensorType type_;
  std::vector<int> path_;  // of the elements
  codec::ReceivedPayloads* payloads_;
};

// Weights that lie in a received message.
class ReceivedWeights {
 public:
  // The field at `path`, as for ReceivedTensor. INVALID_ARGUMENT about `kernel` or
  // `bias`.
  static StatusOr<ReceivedWeights> Make(const v1::Weights& weights, codec::FieldPath path,
                                        codec::ReceivedPayloads& payloads);

  // Valid while this lives and does not move.
  WeightsSource source() { return {&kernel_, bias_.has_value() ? &*bias_ : nullptr}; }

 private:
  ReceivedWeights(ReceivedTensor kernel, std::optional<ReceivedTensor> bias)
      : kernel_(std::move(kernel)), bias_(std::move(bias)) {}

  ReceivedTensor kernel_;
  std::optional<ReceivedTensor> bias_;
};

}  // namespace tconv::server
