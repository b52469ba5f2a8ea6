// Messages and the byte buffers that gRPC moves.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include "server/base/status.h"

namespace tconv::server {

// Parses the buffer and empties it. INVALID_ARGUMENT when the bytes are not
// such a message.
Status ParseMessage(grpc::ByteBuffer* buffer, google::protobuf::MessageLite* message);

// RESOURCE_EXHAUSTED when the message has more bytes than protobuf can carry.
StatusOr<grpc::ByteBuffer> SerializeMessage(const google::protobuf::MessageLite& message);

}  // namespace tconv::server
