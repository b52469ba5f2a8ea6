#include "server/rpc/message_codec.h"

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <cstdint>
#include <limits>

namespace tconv::server {

Status ParseMessage(grpc::ByteBuffer* buffer, google::protobuf::MessageLite* message) {
  bool is_parsed = false;
  {
    grpc::ProtoBufferReader reader(buffer);
    is_parsed = reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
  }
  const size_t bytes = buffer->Length();
  buffer->Clear();
  if (is_parsed) return OkStatus();
  return MakeError(StatusCode::kInvalidArgument,
                   "expected an encoded {} with texts in UTF-8, got {} bytes that are not one",
                   message->GetTypeName(), bytes);
}

StatusOr<grpc::ByteBuffer> SerializeMessage(const google::protobuf::MessageLite& message) {
  constexpr size_t kMaxBytes = std::numeric_limits<int32_t>::max();
  const size_t bytes = message.ByteSizeLong();
  if (bytes > kMaxBytes) {
    return MakeError(StatusCode::kResourceExhausted,
                     "the answer has {} bytes, more than the {} that one message can carry", bytes,
                     kMaxBytes);
  }
  grpc::ByteBuffer buffer;
  {
    grpc::ProtoBufferWriter writer(&buffer, grpc::kProtoBufferWriterMaxBufferLength,
                                   static_cast<int>(bytes));
    if (!message.SerializeToZeroCopyStream(&writer)) {
      return MakeError(StatusCode::kInternal, "cannot encode a {} of {} bytes",
                       message.GetTypeName(), bytes);
    }
  }
  return buffer;
}

}  // namespace tconv::server
