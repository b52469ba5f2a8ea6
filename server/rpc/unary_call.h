// Calls of unary methods, from their arrival until their answer is delivered.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "proto/codec/payload_codec.h"
#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/stay.h"
#include "server/rpc/arrival_watch.h"
#include "server/rpc/call_observer.h"
#include "server/rpc/method.h"

namespace tconv::server {

// An answer whose payloads are not in it. Payload paths have static storage.
template <typename Response>
struct WithPayloads {
  Response message;
  std::vector<codec::PlacedPayload> payloads;
};

// One call. Who makes it is known, and it comes into the house, before its request
// is read: a call that is refused costs no memory, however large its payload. It
// ends when the request does not arrive in time. gRPC's threads take the small
// fields of the request out of what has arrived; the rest happens in the call's
// turn. Lives until gRPC is done with it.
//
// Callers may say how large their message is, as codec::kMessageBytesKey; others
// are admitted again when it has arrived.
class UnaryCall : public grpc::ServerGenericBidiReactor, public QueuedCall, AwaitedPeer {
 public:
  // Reads the request and goes on from there. To be called once.
  void Begin();

  std::chrono::system_clock::time_point deadline() const override { return deadline_; }
  void Run(std::span<QueuedCall* const> companions) final {
    NoteTurn();
    Serve(companions);
  }
  void Drop(const Status& why) final { End(why); }

 protected:
  UnaryCall(const Method& method, grpc::GenericCallbackServerContext* context);

  // The message to be filled in with the small fields of the request.
  virtual google::protobuf::Message& request() = 0;
  // The request is there. On a thread of gRPC: no work that takes time. An error
  // ends the call.
  virtual Status Accept() { return OkStatus(); }
  // Asks for the call's turn, and stops asking for it.
  virtual void AskForTurn() { queue_.Submit(*this); }
  virtual void GiveUpTurn() { queue_.Abandon(*this); }
  // This call's turn, and that of the companions. Ends all of them.
  virtual void Serve(std::span<QueuedCall* const> companions) = 0;

  // Who calls.
  const Caller& caller() const { return caller_; }
  // Names the layer that the call is about. PERMISSION_DENIED: not for this caller.
  Status UseLayer(const std::string& name);

  // The payloads of the request.
  codec::ReceivedPayloads& payloads() { return payloads_; }
  CallObserver& observer() { return observer_; }
  AdmissionQueue& queue() { return queue_; }

  void NoteTurn() { observer_.times().queue = CallObserver::Clock::now() - submitted_; }

  // Each ends the call, which may not be touched afterwards.
  void Answer(const google::protobuf::Message& message,
              std::span<const codec::PlacedPayload> response_payloads = {});
  template <typename Response>
  void Answer(const WithPayloads<Response>& response) {
    Answer(response.message, response.payloads);
  }
  void End(const Status& status);

 private:
  // Comes into the house.
  Status Enter();
  Status TakeRequest();

  void OnReadDone(bool is_read) override;
  void OnOverdue() override;
  // Also when the deadline passes.
  void OnCancel() override { GiveUpTurn(); }
  void OnDone() override;

  const Door& door_;
  AdmissionQueue& queue_;
  const CallKind kind_;
  const int64_t max_request_bytes_;
  grpc::GenericCallbackServerContext& context_;
  const std::chrono::system_clock::time_point deadline_;
  Caller caller_;
  std::optional<Stay> stay_;
  grpc::ByteBuffer request_buffer_;
  grpc::ByteBuffer response_buffer_;
  codec::ReceivedPayloads payloads_;
  CallObserver observer_;
  CallObserver::Clock::time_point submitted_;
};

// What a request brings along beside its small fields.
struct RequestParts {
  codec::ReceivedPayloads& payloads;
  const Caller& caller;
  CallTimes& times;  // `plan` may be set
};

// A call whose answer is made by a function of its request alone.
template <typename Request, typename Response>
class HandlerCall : public UnaryCall {
 public:
  using Handler = std::function<StatusOr<Response>(const Request&, const RequestParts&)>;

  HandlerCall(const Method& method, Handler handler, grpc::GenericCallbackServerContext* context)
      : UnaryCall(method, context), handler_(std::move(handler)) {}

  bool computes() const override { return false; }

 protected:
  Request& request() final { return request_; }
  const Request& request() const { return request_; }

  Status Accept() override {
    // Without a name there is no layer yet, as for Create, or the call is about all of them.
    if constexpr (requires { request_.name(); }) {
      if (!request_.name().empty()) return UseLayer(request_.name());
    } else if constexpr (requires { request_.model_name(); }) {
      if (!request_.model_name().empty()) return UseLayer(request_.model_name());
    }
    return OkStatus();
  }

 private:
  void Serve(std::span<QueuedCall* const>) final {
    const auto begin = CallObserver::Clock::now();
    const StatusOr<Response> response = Handle();
    CallTimes& times = observer().times();
    times.compute = CallObserver::Clock::now() - begin - times.plan;
    if (!response.ok()) return End(response.status());
    if constexpr (requires { response->layer().name(); }) {
      observer().set_layer(response->layer().name());
    }
    Answer(*response);
  }

  StatusOr<Response> Handle() {
    try {
      return handler_(request_, {payloads(), caller(), observer().times()});
    } catch (const std::bad_alloc&) {
      return OutOfMemory();
    }
  }

  const Handler handler_;
  Request request_;
};

}  // namespace tconv::server
