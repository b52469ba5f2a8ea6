// Connection, the RPCs as virtual functions: Client stands on it, tests mock it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/channel.h>
#include <tconv/calls.h>
#include <tconv/options.h>
#include <tconv/training.h>
#include <tconv/v1/admin.pb.h>
#include <tconv/v1/chain.pb.h>
#include <tconv/v1/training.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tconv {

// One way to reach a server, in the terms of the protocol. The errors are those
// documented in the .proto files of tconv/v1 and, from any connection:
//   UNAVAILABLE         the server cannot be reached, or is shutting down; also when
//                       it, or a proxy, cancels a call that nobody here has cancelled
//   DEADLINE_EXCEEDED   the timeout is over
//   CANCELLED           CallOptions::cancellation was triggered
//   UNAUTHENTICATED     the server wants a token, or does not know this one
//   PERMISSION_DENIED   the token is not good for this, or not for this layer
//   FAILED_PRECONDITION the token would be sent in plain text to another machine
//   RESOURCE_EXHAUSTED  a message beyond the 2 GiB of protobuf, or no memory
//   DATA_LOSS           what arrived as a stream is not what was sent
//   INTERNAL            the server's answer is not one
// FieldViolations() below tells which fields an INVALID_ARGUMENT is about.
// Thread-safe: any number of calls from any threads at once.
class Connection {
 public:
  using ForwardCallback = std::function<void(absl::StatusOr<ForwardResult>)>;

  virtual ~Connection() = default;

  // The calls that carry tensors speak in values of the client, those without in
  // messages of the protocol. Client documents the former.
  virtual absl::StatusOr<v1::Layer> Create(const NewLayer& layer, const CallOptions& options) = 0;
  virtual absl::StatusOr<int64_t> SetWeights(const std::string& name, const NewWeights& weights,
                                             const CallOptions& options) = 0;
  virtual absl::StatusOr<VersionedWeights> GetWeights(const std::string& name,
                                                      const CallOptions& options) = 0;
  virtual absl::StatusOr<ForwardResult> Forward(const std::string& name, const Tensor& input,
                                                const ForwardOptions& options) = 0;
  virtual absl::StatusOr<ForwardStreamResult> ForwardStream(
      const std::string& name, const InputStream& input, const OutputStream& output,
      const ForwardStreamOptions& options) = 0;

  // Forward of a tensor in shared memory to another: messages without elements.
  virtual absl::StatusOr<v1::ForwardResponse> ForwardShared(const v1::ForwardRequest& request,
                                                            const CallOptions& options) = 0;

  virtual absl::StatusOr<v1::BuildResponse> Build(const v1::BuildRequest& request,
                                                  const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::ComputeOutputShapeResponse> ComputeOutputShape(
      const v1::ComputeOutputShapeRequest& request, const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request,
                                              const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request,
                                                const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request,
                                                    const CallOptions& options) = 0;

  // Of tconv.v1.TrainingService. Steps with an empty step_id are not repeated.
  virtual absl::StatusOr<BackwardResult> Backward(const std::string& name, const Tensor& input,
                                                  const Tensor& upstream,
                                                  const BackwardOptions& options) = 0;
  virtual absl::StatusOr<StepResult> ApplyGradients(const std::string& name,
                                                    const Weights& gradients,
                                                    const StepOptions& options) = 0;
  virtual absl::StatusOr<TrainStepResult> TrainStep(const std::string& name, const Tensor& input,
                                                    const TrainSignal& signal,
                                                    const TrainStepOptions& options) = 0;
  virtual absl::StatusOr<v1::SetTrainableResponse> SetTrainable(
      const v1::SetTrainableRequest& request, const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::Layer> SetOptimizer(const std::string& name,
                                                 const NewOptimizer& optimizer,
                                                 const CallOptions& options) = 0;
  virtual absl::StatusOr<OptimizerStatus> GetOptimizer(const std::string& name,
                                                       const CallOptions& options) = 0;

  // Of tconv.v1.ChainService.
  virtual absl::StatusOr<v1::CreateChainResponse> CreateChain(const v1::CreateChainRequest& request,
                                                              const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::GetChainResponse> GetChain(const v1::GetChainRequest& request,
                                                        const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::ListChainsResponse> ListChains(const v1::ListChainsRequest& request,
                                                            const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::DeleteChainResponse> DeleteChain(const v1::DeleteChainRequest& request,
                                                              const CallOptions& options) = 0;

  // Of tconv.v1.AdminService.
  virtual absl::StatusOr<v1::GetLogLevelResponse> GetLogLevel(const v1::GetLogLevelRequest& request,
                                                              const CallOptions& options) = 0;
  virtual absl::StatusOr<v1::SetLogLevelResponse> SetLogLevel(const v1::SetLogLevelRequest& request,
                                                              const CallOptions& options) = 0;

  // Returns at once and calls `done` exactly once, with the answer or the error:
  // on a thread of the connection, which must not be held up, or on this one
  // before the function returns. The connection need not outlive the call.
  virtual void ForwardAsync(const std::string& name, const Tensor& input,
                            const ForwardOptions& options, ForwardCallback done) = 0;

  // Asks the standard health service about `service`; empty: the whole server.
  // OK: it serves. UNAVAILABLE: it does not, or cannot be reached.
  // NOT_FOUND: the server has no such service.
  virtual absl::Status CheckHealth(const std::string& service, const CallOptions& options) = 0;
};

// A connection by gRPC to `target`: "host:port", "unix:/path/of.socket", or any
// other name that gRPC resolves. Returns at once; the first call connects, and
// later ones reconnect when they have to. Messages may have any size.
//
// A target that names its scheme stands for replicas of a server:
// "dns:///name:port", all addresses of the name, or "ipv4:10.0.0.1:8500,
// 10.0.0.2:8500" without the space. Their calls take turns on those replicas that
// say, by the standard health service, that they serve, and a call that is
// repeated comes to another one. A name is resolved again when a server leaves.
std::shared_ptr<Connection> Connect(const std::string& target, const ClientOptions& options = {});

// The same on a channel of the caller's, with its credentials, interceptors and
// limits; the credentials and keepalive times of ClientOptions are not used, and a
// token is sent whether or not the channel is safe. The default receive limit of
// gRPC is 4 MiB: see grpc::ChannelArguments::SetMaxReceiveMessageSize().
std::shared_ptr<Connection> ConnectOver(std::shared_ptr<grpc::Channel> channel,
                                        const ClientOptions& options = {});

// A field of a request that the server refused.
struct FieldViolation {
  // Path from the request, like "weights.kernel.shape".
  std::string field = {};
  // What was expected and what came.
  std::string description = {};
};

// The fields that an error of a call is about, as far as the server names them.
// A status of a call carries every google.rpc detail as a payload under the URL
// of its type, "type.googleapis.com/google.rpc.BadRequest" for this one.
std::vector<FieldViolation> FieldViolations(const absl::Status& status);

}  // namespace tconv
