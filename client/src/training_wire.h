// The calls that train a layer as messages, and back. As in wire.h requests share the
// elements of their tensors, and answers are copied once, into `memory`.
#pragma once

#include <absl/status/statusor.h>
#include <grpcpp/support/byte_buffer.h>
#include <tconv/training.h>

#include <string>

#include "client/src/memory_pool.h"
#include "client/src/unary_call.h"

namespace tconv {

// RESOURCE_EXHAUSTED: beyond the 2 GiB of a message.
absl::StatusOr<grpc::ByteBuffer> EncodeBackward(const std::string& name, const Tensor& input,
                                                const Tensor& upstream,
                                                const BackwardOptions& options);
absl::StatusOr<grpc::ByteBuffer> EncodeApplyGradients(const std::string& name,
                                                      const Weights& gradients,
                                                      const StepOptions& options);
absl::StatusOr<grpc::ByteBuffer> EncodeTrainStep(const std::string& name, const Tensor& input,
                                                 const TrainSignal& signal,
                                                 const TrainStepOptions& options);
absl::StatusOr<grpc::ByteBuffer> EncodeSetOptimizer(const std::string& name,
                                                    const NewOptimizer& optimizer);

// INTERNAL: not an answer, or a tensor of it does not fit its shape.
absl::StatusOr<BackwardResult> DecodeBackward(UnaryAnswer answer, MemoryPool& memory);
absl::StatusOr<StepResult> DecodeApplyGradients(UnaryAnswer answer, MemoryPool& memory);
absl::StatusOr<TrainStepResult> DecodeTrainStep(UnaryAnswer answer, MemoryPool& memory);
absl::StatusOr<v1::Layer> DecodeSetOptimizer(UnaryAnswer answer, MemoryPool& memory);
absl::StatusOr<OptimizerStatus> DecodeGetOptimizer(UnaryAnswer answer, MemoryPool& memory);

}  // namespace tconv
