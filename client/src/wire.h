// Values of the client as messages, and back.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/support/byte_buffer.h>
#include <tconv/calls.h>
#include <tconv/tensor.h>
#include <tconv/v1/tensor.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <string>

#include "client/src/memory_pool.h"
#include "client/src/unary_call.h"

namespace tconv {

// Requests share the elements of their tensors.
// RESOURCE_EXHAUSTED: beyond the 2 GiB of a message.
absl::StatusOr<grpc::ByteBuffer> EncodeCreate(const NewLayer& layer);
absl::StatusOr<grpc::ByteBuffer> EncodeSetWeights(const std::string& name,
                                                  const NewWeights& weights);
absl::StatusOr<grpc::ByteBuffer> EncodeForward(const std::string& name, const Tensor& input,
                                               const ForwardOptions& options);

// Copies the elements once, into `memory`. INTERNAL: not an answer, or its
// tensor does not fit its shape.
absl::StatusOr<ForwardResult> DecodeForward(UnaryAnswer answer, MemoryPool& memory);

v1::TensorHeader ToProto(const TensorInfo& info);
TensorInfo FromProto(const v1::TensorHeader& header);

// The bytes of a tensor that a server announces. INTERNAL: it has no such size.
absl::StatusOr<size_t> AnnouncedBytes(const TensorInfo& info);

}  // namespace tconv
