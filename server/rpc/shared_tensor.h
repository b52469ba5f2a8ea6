// The tensors of a request, wherever their elements are.
#pragma once

#include <tconv/v1/tensor.pb.h>

#include <memory>

#include "proto/codec/payload_codec.h"
#include "server/base/status.h"
#include "server/host/forward_job.h"
#include "server/host/shared_memory.h"
#include "server/tensor/tensor_source.h"

namespace tconv::server {

// The tensor in the field at `path` of a message, whose elements are in its region
// or else in `payloads`, which must outlive the source. INVALID_ARGUMENT about a
// field of the tensor; NOT_FOUND: the region is in no segment.
StatusOr<std::unique_ptr<TensorSource>> SourceOf(const v1::Tensor& tensor, codec::FieldPath path,
                                                 codec::ReceivedPayloads& payloads,
                                                 const SharedMemory& memory);

// The room for an output, apart from `input`. INVALID_ARGUMENT about a field of
// the room; NOT_FOUND as above.
StatusOr<OutputRoom> RoomOf(const v1::SharedRoom& room, const TensorSource& input,
                            const SharedMemory& memory);

}  // namespace tconv::server
