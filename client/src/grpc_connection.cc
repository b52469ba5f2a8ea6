#include <absl/strings/str_cat.h>
#include <grpc/health/v1/health.pb.h>
#include <grpcpp/create_channel.h>
#include <tconv/connection.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <mutex>
#include <optional>
#include <utility>

#include "client/src/bearer.h"
#include "client/src/completion.h"
#include "client/src/forward_stream.h"
#include "client/src/tensor_fields.h"
#include "client/src/training_wire.h"
#include "client/src/unary_call.h"
#include "client/src/weights_stream.h"
#include "client/src/wire.h"

namespace tconv {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;
using HealthCheckResponse = grpc::health::v1::HealthCheckResponse;

constexpr std::chrono::hours kYear(365 * 24);
constexpr char kGetLogLevel[] = "/tconv.v1.AdminService/GetLogLevel";
constexpr char kSetLogLevel[] = "/tconv.v1.AdminService/SetLogLevel";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kNoLayer[] = "";

// Calls take turns on the servers that say they serve.
constexpr char kBalancing[] =
    R"({"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":""}})";

std::string MethodPath(const char* method) {
  return absl::StrCat("/tconv.v1.TransposedConvService/", method);
}
std::string TrainingPath(const char* method) {
  return absl::StrCat("/tconv.v1.TrainingService/", method);
}

std::string ChainPath(const char* method) {
  return absl::StrCat("/tconv.v1.ChainService/", method);
}

// A step that the server knows by its name is made once, however often it comes.
Repeatable RepeatableStep(const std::string& step_id) {
  return step_id.empty() ? Repeatable::kIfItNeverLeft : Repeatable::kAlways;
}

// What start(queue, done) hands to `done`, awaited on this thread alone: no other
// one has to be woken up.
template <typename Result, typename Start>
absl::StatusOr<Result> Await(QueuePool& queues, Start start) {
  std::optional<absl::StatusOr<Result>> result;
  std::unique_ptr<grpc::CompletionQueue> queue = queues.Take();
  start(*queue, [&result](absl::StatusOr<Result> answer) { result = std::move(answer); });
  while (!result) Completion::HandleNext(*queue);
  queues.Return(std::move(queue));
  return *std::move(result);
}

// An answer without tensors.
template <typename Response>
absl::StatusOr<Response> DecodeMessage(UnaryAnswer answer, MemoryPool&) {
  Response response;
  const auto received = ParseAnswer(&answer.message, &response);
  if (!received.ok()) return received.status();
  return response;
}

bool IsStreamed(Transfer transfer, size_t bytes) {
  if (transfer == Transfer::kAutomatic) return bytes >= kStreamedBytes;
  return transfer == Transfer::kStream;
}

class GrpcConnection final : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel, std::string target,
                 const ClientOptions& options, std::shared_ptr<Bearer> bearer)
      : endpoint_(std::make_shared<const Endpoint>(std::move(channel), std::move(target), options,
                                                   std::move(bearer))),
        timeout_(options.timeout) {}

  absl::StatusOr<v1::Layer> Create(const NewLayer& layer, const CallOptions& options) override {
    auto response = CallWith<v1::CreateResponse>(
        Terms(MethodPath("Create"), layer.name, Repeatable::kIfItNeverLeft, options),
        EncodeCreate(layer));
    if (!response.ok()) return response.status();
    return std::move(*response->mutable_layer());
  }

  absl::StatusOr<int64_t> SetWeights(const std::string& name, const NewWeights& weights,
                                     const CallOptions& options) override {
    const Repeatable repeatable =
        weights.if_version ? Repeatable::kAlways : Repeatable::kIfItNeverLeft;
    const auto& [kernel, bias] = weights.weights;
    const size_t bytes = kernel.bytes().size() + (bias ? bias->bytes().size() : 0);
    if (IsStreamed(Transfer::kAutomatic, bytes)) {
      return Await<int64_t>(*endpoint_->queues, [&](grpc::CompletionQueue& queue, auto done) {
        StartSetWeightsStream(endpoint_,
                              Terms(MethodPath("SetWeightsStream"), name, repeatable, options),
                              name, weights, queue, std::move(done));
      });
    }
    const auto response =
        CallWith<v1::SetWeightsResponse>(Terms(MethodPath("SetWeights"), name, repeatable, options),
                                         EncodeSetWeights(name, weights));
    if (!response.ok()) return response.status();
    return response->weights_version();
  }

  // Always as a stream: nobody knows the size of the weights beforehand.
  absl::StatusOr<VersionedWeights> GetWeights(const std::string& name,
                                              const CallOptions& options) override {
    return Await<VersionedWeights>(
        *endpoint_->queues, [&](grpc::CompletionQueue& queue, auto done) {
          StartGetWeightsStream(
              endpoint_, Terms(MethodPath("GetWeightsStream"), name, Repeatable::kAlways, options),
              name, queue, std::move(done));
        });
  }

  absl::StatusOr<ForwardResult> Forward(const std::string& name, const Tensor& input,
                                        const ForwardOptions& options) override {
    return Await<ForwardResult>(*endpoint_->queues, [&](grpc::CompletionQueue& queue, auto done) {
      StartForward(name, input, options, queue, std::move(done));
    });
  }

  void ForwardAsync(const std::string& name, const Tensor& input, const ForwardOptions& options,
                    ForwardCallback done) override {
    // The call keeps the thread.
    const std::shared_ptr<CompletionThread> thread = completion_thread();
    StartForward(name, input, options, thread->queue(),
                 [thread, done = std::move(done)](absl::StatusOr<ForwardResult> result) {
                   done(std::move(result));
                 });
  }

  absl::StatusOr<ForwardStreamResult> ForwardStream(const std::string& name,
                                                    const InputStream& input,
                                                    const OutputStream& output,
                                                    const ForwardStreamOptions& options) override {
    return Await<ForwardStreamResult>(
        *endpoint_->queues, [&](grpc::CompletionQueue& queue, auto done) {
          StartForwardStream(
              endpoint_, Terms(MethodPath("ForwardStream"), name, Repeatable::kNever, options.call),
              name, input, output, options, queue, std::move(done));
        });
  }

  // An attempt that was lost may still write to the output.
  absl::StatusOr<v1::ForwardResponse> ForwardShared(const v1::ForwardRequest& request,
                                                    const CallOptions& options) override {
    return CallWith<v1::ForwardResponse>(
        Terms(MethodPath("Forward"), request.name(), Repeatable::kIfItNeverLeft, options),
        codec::Encode(request));
  }

  absl::StatusOr<v1::BuildResponse> Build(const v1::BuildRequest& request,
                                          const CallOptions& options) override {
    return CallWith<v1::BuildResponse>(
        Terms(MethodPath("Build"), request.name(), Repeatable::kIfItNeverLeft, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::ComputeOutputShapeResponse> ComputeOutputShape(
      const v1::ComputeOutputShapeRequest& request, const CallOptions& options) override {
    return CallWith<v1::ComputeOutputShapeResponse>(
        Terms(MethodPath("ComputeOutputShape"), request.name(), Repeatable::kAlways, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request,
                                      const CallOptions& options) override {
    return CallWith<v1::GetResponse>(
        Terms(MethodPath("Get"), request.name(), Repeatable::kAlways, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request,
                                        const CallOptions& options) override {
    return CallWith<v1::ListResponse>(
        Terms(MethodPath("List"), kNoLayer, Repeatable::kAlways, options), codec::Encode(request));
  }
  absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request,
                                            const CallOptions& options) override {
    return CallWith<v1::DeleteResponse>(
        Terms(MethodPath("Delete"), request.name(), Repeatable::kIfItNeverLeft, options),
        codec::Encode(request));
  }

  absl::StatusOr<BackwardResult> Backward(const std::string& name, const Tensor& input,
                                          const Tensor& upstream,
                                          const BackwardOptions& options) override {
    return CallAnd(Terms(TrainingPath("Backward"), name, Repeatable::kAlways, options.call),
                   EncodeBackward(name, input, upstream, options), DecodeBackward);
  }
  absl::StatusOr<StepResult> ApplyGradients(const std::string& name, const Weights& gradients,
                                            const StepOptions& options) override {
    return CallAnd(
        Terms(TrainingPath("ApplyGradients"), name, RepeatableStep(options.step_id), options.call),
        EncodeApplyGradients(name, gradients, options), DecodeApplyGradients);
  }
  absl::StatusOr<TrainStepResult> TrainStep(const std::string& name, const Tensor& input,
                                            const TrainSignal& signal,
                                            const TrainStepOptions& options) override {
    return CallAnd(
        Terms(TrainingPath("TrainStep"), name, RepeatableStep(options.step_id), options.call),
        EncodeTrainStep(name, input, signal, options), DecodeTrainStep);
  }
  absl::StatusOr<v1::SetTrainableResponse> SetTrainable(const v1::SetTrainableRequest& request,
                                                        const CallOptions& options) override {
    return CallWith<v1::SetTrainableResponse>(
        Terms(TrainingPath("SetTrainable"), request.name(), Repeatable::kAlways, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::Layer> SetOptimizer(const std::string& name, const NewOptimizer& optimizer,
                                         const CallOptions& options) override {
    return CallAnd(Terms(TrainingPath("SetOptimizer"), name, Repeatable::kIfItNeverLeft, options),
                   EncodeSetOptimizer(name, optimizer), DecodeSetOptimizer);
  }
  absl::StatusOr<OptimizerStatus> GetOptimizer(const std::string& name,
                                               const CallOptions& options) override {
    v1::GetOptimizerRequest request;
    request.set_name(name);
    return CallAnd(Terms(TrainingPath("GetOptimizer"), name, Repeatable::kAlways, options),
                   codec::Encode(request), DecodeGetOptimizer);
  }

  absl::StatusOr<v1::CreateChainResponse> CreateChain(const v1::CreateChainRequest& request,
                                                      const CallOptions& options) override {
    return CallWith<v1::CreateChainResponse>(
        Terms(ChainPath("CreateChain"), request.name(), Repeatable::kIfItNeverLeft, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::GetChainResponse> GetChain(const v1::GetChainRequest& request,
                                                const CallOptions& options) override {
    return CallWith<v1::GetChainResponse>(
        Terms(ChainPath("GetChain"), request.name(), Repeatable::kAlways, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::ListChainsResponse> ListChains(const v1::ListChainsRequest& request,
                                                    const CallOptions& options) override {
    return CallWith<v1::ListChainsResponse>(
        Terms(ChainPath("ListChains"), kNoLayer, Repeatable::kAlways, options),
        codec::Encode(request));
  }
  absl::StatusOr<v1::DeleteChainResponse> DeleteChain(const v1::DeleteChainRequest& request,
                                                      const CallOptions& options) override {
    return CallWith<v1::DeleteChainResponse>(
        Terms(ChainPath("DeleteChain"), request.name(), Repeatable::kIfItNeverLeft, options),
        codec::Encode(request));
  }

  absl::StatusOr<v1::GetLogLevelResponse> GetLogLevel(const v1::GetLogLevelRequest& request,
                                                      const CallOptions& options) override {
    return CallWith<v1::GetLogLevelResponse>(
        Terms(kGetLogLevel, kNoLayer, Repeatable::kAlways, options), codec::Encode(request));
  }
  absl::StatusOr<v1::SetLogLevelResponse> SetLogLevel(const v1::SetLogLevelRequest& request,
                                                      const CallOptions& options) override {
    return CallWith<v1::SetLogLevelResponse>(
        Terms(kSetLogLevel, kNoLayer, Repeatable::kIfItNeverLeft, options), codec::Encode(request));
  }

  absl::Status CheckHealth(const std::string& service, const CallOptions& options) override {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    const auto response = CallWith<HealthCheckResponse>(
        Terms(kHealthCheck, kNoLayer, Repeatable::kAlways, options), codec::Encode(request));
    if (!response.ok()) return response.status();
    if (response->status() == HealthCheckResponse::SERVING) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat(endpoint_->target, " answers, but is not serving: ",
                     HealthCheckResponse::ServingStatus_Name(response->status())));
  }

 private:
  CallTerms Terms(std::string method, std::string layer, Repeatable repeatable,
                  const CallOptions& options) const {
    CallTerms terms{.method = std::move(method),
                    .layer = std::move(layer),
                    .repeatable = repeatable,
                    .deadline = system_clock::time_point::max(),
                    .cancellation = options.cancellation,
                    .traceparent = options.traceparent};
    // A year stands for every longer time, which might not fit the clock.
    const auto timeout = std::min<milliseconds>(options.timeout.value_or(timeout_), kYear);
    if (timeout.count() != 0) terms.deadline = system_clock::now() + timeout;
    return terms;
  }

  // A call with the answer that decode(UnaryAnswer, MemoryPool&) makes of what came.
  template <typename Result>
  absl::StatusOr<Result> CallAnd(CallTerms terms, absl::StatusOr<grpc::ByteBuffer> request,
                                 absl::StatusOr<Result> (*decode)(UnaryAnswer, MemoryPool&)) {
    if (!request.ok()) return request.status();
    auto answer =
        Await<UnaryAnswer>(*endpoint_->queues, [&](grpc::CompletionQueue& queue, auto done) {
          StartUnaryCall(endpoint_, std::move(terms), *std::move(request), queue, std::move(done));
        });
    if (!answer.ok()) return answer.status();
    return decode(*std::move(answer), *endpoint_->memory);
  }

  // A call of messages without tensors in the answer.
  template <typename Response>
  absl::StatusOr<Response> CallWith(CallTerms terms, absl::StatusOr<grpc::ByteBuffer> request) {
    return CallAnd<Response>(std::move(terms), std::move(request), DecodeMessage<Response>);
  }

  void StartForward(const std::string& name, const Tensor& input, const ForwardOptions& options,
                    grpc::CompletionQueue& queue, ForwardCallback done) {
    if (IsStreamed(options.transfer, input.bytes().size())) {
      return StartForwardStream(
          endpoint_, Terms(MethodPath("ForwardStream"), name, Repeatable::kAlways, options.call),
          formats_, name, input,
          {.compute_losses = options.compute_losses, .min_version = options.min_version}, queue,
          std::move(done));
    }
    auto request = EncodeForward(name, input, options);
    if (!request.ok()) return done(request.status());
    StartUnaryCall(
        endpoint_, Terms(MethodPath("Forward"), name, Repeatable::kAlways, options.call),
        *std::move(request), queue,
        [memory = endpoint_->memory, done = std::move(done)](absl::StatusOr<UnaryAnswer> answer) {
          if (!answer.ok()) return done(answer.status());
          done(DecodeForward(*std::move(answer), *memory));
        });
  }

  // Started by the first asynchronous call.
  std::shared_ptr<CompletionThread> completion_thread() {
    std::call_once(thread_once_, [this] { thread_ = std::make_shared<CompletionThread>(); });
    return thread_;
  }

  const std::shared_ptr<const Endpoint> endpoint_;
  const milliseconds timeout_;
  const std::shared_ptr<DataFormats> formats_ = std::make_shared<DataFormats>();
  std::once_flag thread_once_;
  std::shared_ptr<CompletionThread> thread_;
};

int Milliseconds(milliseconds time) {
  return static_cast<int>(std::clamp<milliseconds::rep>(time.count(), 1, INT_MAX));
}

// Whether a target that names its scheme stands for any number of servers.
bool IsOfReplicas(const std::string& target) {
  return target.starts_with("dns:") || target.starts_with("ipv4:") || target.starts_with("ipv6:");
}

}  // namespace

std::shared_ptr<Connection> Connect(const std::string& target, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  // Else gRPC stops asking while nothing but questions is sent.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  if (IsOfReplicas(target)) arguments.SetServiceConfigJSON(kBalancing);
  auto credentials = options.credentials ? options.credentials : grpc::InsecureChannelCredentials();
  return std::make_shared<GrpcConnection>(
      grpc::CreateCustomChannel(target, credentials, arguments), target, options,
      std::make_shared<Bearer>(options, CheckTokenIsSafe(target, options)));
}

std::shared_ptr<Connection> ConnectOver(std::shared_ptr<grpc::Channel> channel,
                                        const ClientOptions& options) {
  return std::make_shared<GrpcConnection>(std::move(channel), "the server", options,
                                          std::make_shared<Bearer>(options, absl::OkStatus()));
}

}  // namespace tconv
