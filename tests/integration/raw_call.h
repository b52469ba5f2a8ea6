// Calls with any bytes, as a client in another language or a hostile one makes
// them.
#pragma once

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>

#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tconv::testing {

inline std::shared_ptr<grpc::Channel> OpenChannel(const std::string& target) {
  return grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
}

inline grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

inline std::string ToBytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// `method` is "/package.Service/Method".
inline grpc::Status RawUnaryCall(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& method, const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  const grpc::ByteBuffer sent = ToBuffer(request);
  grpc::ByteBuffer received;
  std::promise<grpc::Status> status;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &sent, &received,
                 [&](grpc::Status end) { status.set_value(std::move(end)); });
  return status.get_future().get();
}

// A call that sends these messages, and then nothing, while it receives.
class RawStream {
 public:
  RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
            const std::vector<std::string>& requests)
      : stub_(channel), stream_(stub_.PrepareCall(&context_, method, &queue_)) {
    stream_->StartCall(nullptr);
    Await();
    for (const std::string& request : requests) {
      stream_->Write(ToBuffer(request), nullptr);
      Await();
    }
  }
  ~RawStream() {
    if (!has_ended_) {
      context_.TryCancel();
      Finish();
    }
    queue_.Shutdown();
  }
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;

  // Waits for the next message. Empty when the stream has ended.
  std::string Read() {
    grpc::ByteBuffer message;
    stream_->Read(&message, nullptr);
    return Await() ? ToBytes(message) : std::string();
  }

  // Waits for the end, which comes after all messages.
  grpc::Status AwaitEnd() {
    grpc::ByteBuffer message;
    do {
      stream_->Read(&message, nullptr);
    } while (Await());
    return Finish();
  }

 private:
  grpc::Status Finish() {
    has_ended_ = true;
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Await();
    return status;
  }

  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  bool has_ended_ = false;
};

constexpr char kServiceName[] = "tconv.v1.TransposedConvService";

// grpc.health.v1.HealthCheckRequest for `service`; field 1 is its name.
inline std::string HealthRequest(std::string_view service) {
  return fmt::format("\x0a{}{}", static_cast<char>(service.size()), service);
}

// grpc.health.v1.HealthCheckResponse; field 1 is the status.
constexpr std::string_view kServing = "\x08\x01";
constexpr std::string_view kNotServing = "\x08\x02";
constexpr std::string_view kServiceUnknown = "\x08\x03";

}  // namespace tconv::testing
