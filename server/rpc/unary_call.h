// From a handler function to a call of gRPC's callback API.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <functional>
#include <new>
#include <string_view>
#include <utility>

#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/rpc/call_observer.h"
#include "server/rpc/message_codec.h"
#include "server/wire/status_codec.h"

namespace tconv::server {

// How calls of one method are treated.
struct Method {
  std::string_view name;  // static storage
  CallKind kind = CallKind::kRead;
  AdmissionQueue* queue = nullptr;
};

// One call of a unary method. gRPC's threads only hand the bytes of the request
// to the queue; a handler thread decodes them, calls the handler and encodes
// its answer. Lives until gRPC is done with it.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor, public QueuedCall {
 public:
  using Handler = std::function<StatusOr<Response>(const Request&)>;

  // To be returned to gRPC, which keeps the buffers as long as it keeps the call.
  static grpc::ServerUnaryReactor* Start(const Method& method, Handler handler,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) {
    auto* call = new UnaryCall(method, std::move(handler), context, request, response);
    call->is_admitted_ = true;
    const Status admitted = call->queue_.Submit(*call);
    // Once admitted it belongs to the handler threads, but it is not deleted
    // before gRPC has received it from here.
    if (!admitted.ok()) {
      call->is_admitted_ = false;
      call->End(admitted);
    }
    return call;
  }

  int64_t bytes_held() const override { return bytes_held_; }

  void Run() override {
    if (IsPastDeadline()) return Drop();
    End(Answer());
  }

  void Drop() override {
    End(IsPastDeadline()
            ? Status(StatusCode::kDeadlineExceeded, "the deadline passed while the call waited")
            : Status(StatusCode::kCancelled, "the caller gave up while the call waited"));
  }

 private:
  UnaryCall(const Method& method, Handler handler, grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response)
      : queue_(*method.queue),
        handler_(std::move(handler)),
        deadline_(context->deadline()),
        // gRPC reads this buffer for us alone and never looks at it again, so
        // its memory can go as soon as the message is decoded.
        request_(*const_cast<grpc::ByteBuffer*>(request)),
        response_(*response),
        bytes_held_(static_cast<int64_t>(request->Length())),
        observer_(method.name, method.kind, bytes_held_) {}

  bool IsPastDeadline() const { return deadline_ < std::chrono::system_clock::now(); }

  Status Answer() {
    try {
      Request request;
      TCONV_RETURN_IF_ERROR(ParseMessage(&request_, &request));
      if constexpr (requires { request.name(); }) observer_.set_layer(request.name());
      TCONV_ASSIGN_OR_RETURN(const Response response, handler_(request));
      if constexpr (requires { response.layer().name(); }) {
        observer_.set_layer(response.layer().name());
      }
      TCONV_ASSIGN_OR_RETURN(response_, SerializeMessage(response));
      observer_.set_response_bytes(static_cast<int64_t>(response_.Length()));
      return OkStatus();
    } catch (const std::bad_alloc&) {
      return Status(StatusCode::kResourceExhausted, "not enough memory for this call");
    }
  }

  void End(const Status& status) {
    observer_.Finish(status);
    Finish(ToGrpcStatus(status));
  }

  // Also when the deadline passes.
  void OnCancel() override {
    if (is_admitted_) queue_.Abandon(*this);
  }

  void OnDone() override {
    if (is_admitted_) queue_.Leave(*this);
    delete this;
  }

  AdmissionQueue& queue_;
  bool is_admitted_ = false;
  const Handler handler_;
  const std::chrono::system_clock::time_point deadline_;
  grpc::ByteBuffer& request_;
  grpc::ByteBuffer& response_;
  const int64_t bytes_held_;
  CallObserver observer_;
};

}  // namespace tconv::server
