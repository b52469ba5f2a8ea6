// The messages of the Open Inference Protocol and what they mean here. All INVALID_ARGUMENTs name
// the field as a path from the request.
#pragma once

#include <inference/grpc_inference_service.pb.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proto/codec/payload_codec.h"
#include "server/base/status.h"
#include "server/tensor/tensor.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// The tensors of every model.
inline constexpr char kModelInput[] = "input";
inline constexpr char kModelOutput[] = "output";

// A type as metadata tell it, and as configurations do.
std::string_view DatatypeOf(DType dtype);  // "FP32", ...
inference::DataType DataTypeOf(DType dtype);

// A version in the field `field`; nothing for the one that is served, whichever that is.
StatusOr<std::optional<int64_t>> VersionFromText(std::string_view field, const std::string& text);

// What a request of ModelInfer says besides its input.
struct InferTerms {
  std::optional<int64_t> version = {};
  std::chrono::microseconds timeout{0};  // to wait for its turn at most; 0: any time
  bool wants_final_mark = false;         // a parameter that says that no further answer comes
};
StatusOr<InferTerms> InferTermsFromProto(const inference::ModelInferRequest& request);

// Its input, in whichever of its two places. `request` and `payloads`, those of the request, must
// outlive the source.
StatusOr<std::unique_ptr<TensorSource>> InferInputFromProto(
    const inference::ModelInferRequest& request, codec::ReceivedPayloads& payloads);

// The answer to `request`, but for raw elements of the output.
void ToProto(const inference::ModelInferRequest& request, const InferTerms& terms,
             ConstTensorView output, int64_t weights_version, inference::ModelInferResponse* out);
// Whether its output has raw elements: when the input has, and where there are no others.
bool HasRawOutput(const inference::ModelInferRequest& request, DType output);

}  // namespace tconv::server
