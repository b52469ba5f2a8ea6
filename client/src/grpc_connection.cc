#include <absl/strings/str_cat.h>
#include <grpc/health/v1/health.grpc.pb.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <tconv/connection.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <mutex>
#include <utility>

#include "client/src/callback_thread.h"
#include "client/src/grpc_status.h"

namespace tconv {
namespace {

using Health = grpc::health::v1::Health;
using HealthCheckResponse = grpc::health::v1::HealthCheckResponse;
using Service = v1::TransposedConvService;

constexpr std::chrono::hours kYear(365 * 24);

// What one call owns while it runs. Cancelling waits for nothing and may come
// from any thread, before, during and after the call.
struct CallState {
  explicit CallState(std::stop_token cancellation)
      : on_stop(std::move(cancellation), CancelContext{context}) {}

  // Holds the context while it cancels, because the call may end meanwhile and
  // even destroy its state from inside TryCancel().
  struct CancelContext {
    std::weak_ptr<grpc::ClientContext> context;
    void operator()() const {
      if (const auto live = context.lock()) live->TryCancel();
    }
  };

  const std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  std::stop_callback<CancelContext> on_stop;
};

// protobuf sizes are ints; gRPC calls a larger message an internal error.
absl::Status CheckSize(const google::protobuf::Message& request) {
  const size_t bytes = request.ByteSizeLong();
  if (bytes <= INT_MAX) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "request: expected less than 2 GiB, the limit of a message, got ", bytes, " bytes"));
}

class GrpcConnection final : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel, std::string target,
                 const ClientOptions& options)
      : channel_(std::move(channel)),
        target_(std::move(target)),
        timeout_(options.timeout),
        service_(Service::NewStub(channel_)),
        health_(Health::NewStub(channel_)) {}

  absl::StatusOr<v1::CreateResponse> Create(const v1::CreateRequest& request,
                                            const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::Create, request, options);
  }
  absl::StatusOr<v1::BuildResponse> Build(const v1::BuildRequest& request,
                                          const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::Build, request, options);
  }
  absl::StatusOr<v1::SetWeightsResponse> SetWeights(const v1::SetWeightsRequest& request,
                                                    const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::SetWeights, request, options);
  }
  absl::StatusOr<v1::GetWeightsResponse> GetWeights(const v1::GetWeightsRequest& request,
                                                    const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::GetWeights, request, options);
  }
  absl::StatusOr<v1::ForwardResponse> Forward(const v1::ForwardRequest& request,
                                              const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::Forward, request, options);
  }
  absl::StatusOr<v1::ComputeOutputShapeResponse> ComputeOutputShape(
      const v1::ComputeOutputShapeRequest& request, const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::ComputeOutputShape, request, options);
  }
  absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request,
                                      const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::Get, request, options);
  }
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request,
                                        const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::List, request, options);
  }
  absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request,
                                            const CallOptions& options) override {
    return Call(*service_, &Service::StubInterface::Delete, request, options);
  }

  void ForwardAsync(v1::ForwardRequest request, const CallOptions& options,
                    ForwardCallback done) override {
    if (absl::Status status = CheckSize(request); !status.ok()) return done(std::move(status));
    auto call = std::make_unique<AsyncForward>(*this, options.cancellation, std::move(done));
    SetDeadline(options, *call->state.context);
    CallbackThread& thread = callback_thread();
    call->reader = service_->AsyncForward(call->state.context.get(), request, thread.queue());
    // From here on the thread owns the call.
    AsyncForward* const started = call.release();
    started->reader->Finish(&started->response, &started->status, started);
  }

  absl::Status CheckHealth(const std::string& service, const CallOptions& options) override {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    const auto response = Call(*health_, &Health::StubInterface::Check, request, options);
    if (!response.ok()) return response.status();
    if (response->status() == HealthCheckResponse::SERVING) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat(target_, " answers, but is not serving: ",
                     HealthCheckResponse::ServingStatus_Name(response->status())));
  }

 private:
  struct AsyncForward final : CallbackThread::Call {
    AsyncForward(const GrpcConnection& connection, std::stop_token cancellation,
                 ForwardCallback callback)
        : channel(connection.channel_),
          target(connection.target_),
          state(std::move(cancellation)),
          done(std::move(callback)) {}

    void End() override {
      if (!status.ok()) return done(Explain(status, *channel, target));
      done(std::move(response));
    }

    const std::shared_ptr<grpc::Channel> channel;
    const std::string target;
    CallState state;
    const ForwardCallback done;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ForwardResponse>> reader;
    v1::ForwardResponse response;
    grpc::Status status;
  };

  // Started by the first asynchronous call.
  CallbackThread& callback_thread() {
    std::call_once(callback_thread_once_,
                   [this] { callback_thread_ = std::make_unique<CallbackThread>(); });
    return *callback_thread_;
  }

  template <typename Stub, typename Interface, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Interface::*rpc)(grpc::ClientContext*, const Request&,
                                                               Response*),
                                const Request& request, const CallOptions& options) {
    if (absl::Status status = CheckSize(request); !status.ok()) return status;
    const CallState call(options.cancellation);
    SetDeadline(options, *call.context);
    Response response;
    const grpc::Status status = (stub.*rpc)(call.context.get(), request, &response);
    if (!status.ok()) return Explain(status, *channel_, target_);
    return response;
  }

  void SetDeadline(const CallOptions& options, grpc::ClientContext& context) const {
    // A year stands for every longer time, which might not fit the clock.
    const std::chrono::milliseconds timeout =
        std::min<std::chrono::milliseconds>(options.timeout.value_or(timeout_), kYear);
    if (timeout.count() != 0) context.set_deadline(std::chrono::system_clock::now() + timeout);
  }

  // gRPC describes each address it tried; the name that the user gave says more.
  static absl::Status Explain(const grpc::Status& status, grpc::Channel& channel,
                              const std::string& target) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/false);
    const bool unconnected =
        state == GRPC_CHANNEL_CONNECTING || state == GRPC_CHANNEL_TRANSIENT_FAILURE;
    const bool unanswered = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                            status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    absl::Status result = ToAbslStatus(status);
    if (!unconnected || !unanswered) return result;
    return absl::Status(result.code(),
                        absl::StrCat("cannot reach ", target, ": ", status.error_message()));
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string target_;
  const std::chrono::milliseconds timeout_;
  const std::unique_ptr<Service::Stub> service_;
  const std::unique_ptr<Health::Stub> health_;
  std::once_flag callback_thread_once_;
  std::unique_ptr<CallbackThread> callback_thread_;
};

}  // namespace

std::shared_ptr<Connection> Connect(const std::string& target, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  auto credentials = options.credentials ? options.credentials : grpc::InsecureChannelCredentials();
  return std::make_shared<GrpcConnection>(grpc::CreateCustomChannel(target, credentials, arguments),
                                          target, options);
}

std::shared_ptr<Connection> ConnectOver(std::shared_ptr<grpc::Channel> channel,
                                        const ClientOptions& options) {
  return std::make_shared<GrpcConnection>(std::move(channel), "the server", options);
}

}  // namespace tconv
