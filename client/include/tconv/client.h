// Client, transposed-convolution layers on a tconv server.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/calls.h>
#include <tconv/chain.h>
#include <tconv/connection.h>
#include <tconv/options.h>
#include <tconv/tensor.h>
#include <tconv/training.h>
#include <tconv/v1/layer.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tconv {

// Of <tconv/shared_memory.h>.
class SharedTensor;
struct SharedForwardResult;

// Layers by name. Every function is one call of tconv.v1.TransposedConvService, or
// of tconv.v1.TrainingService or tconv.v1.ChainService where it is about training or
// chains; their .proto documents its errors, and Connection those of every call. All of
// them return when the answer is there, except ForwardAsync. Tensors are sent from where
// they are and arrive where they stay. Large ones travel as streams by themselves, except
// in training, where a message has at most 2 GiB. RetryPolicy tells which calls are
// repeated.
//
// The functions that compute an output, or its shape, take the name of a chain as they
// take that of a layer.
// Thread-safe; a copy shares the connection.
class Client {
 public:
  using ForwardCallback = Connection::ForwardCallback;

  // A client of the server at `target`, as tconv::Connect() describes it.
  explicit Client(const std::string& target, const ClientOptions& options = {})
      : Client(Connect(target, options)) {}

  // A client over an existing connection. REQUIRES: not null.
  explicit Client(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  // Creates a layer. ALREADY_EXISTS: the name is taken.
  absl::StatusOr<v1::Layer> Create(NewLayer layer, const CallOptions& options = {}) const;

  // Builds a layer that was created without a shape: fixes the channels of its
  // input and runs its initializers. `input_shape` as in NewLayer.
  // FAILED_PRECONDITION: built already.
  absl::StatusOr<v1::Layer> Build(const std::string& name, const Shape& input_shape,
                                  const CallOptions& options = {}) const;

  // Replaces the weights, all or nothing, and returns their new version.
  // Forward calls that are running finish with those they started with.
  // With `if_version`, only when the weights are at that version, else ABORTED.
  // FAILED_PRECONDITION: not built.
  absl::StatusOr<int64_t> SetWeights(const std::string& name, Weights weights,
                                     std::optional<int64_t> if_version = std::nullopt,
                                     const CallOptions& options = {}) const;

  // The weights bit for bit, of any size. FAILED_PRECONDITION: not built.
  absl::StatusOr<VersionedWeights> GetWeights(const std::string& name,
                                              const CallOptions& options = {}) const;

  // Computes activation(transposed_convolution(input, kernel) + bias). `input`
  // is [batch, spatial..., channels] or [batch, channels, spatial...] by the
  // data format of the layer, of any batch and spatial extents.
  // FAILED_PRECONDITION: the layer has no weights.
  absl::StatusOr<ForwardResult> Forward(const std::string& name, const Tensor& input,
                                        const ForwardOptions& options = {}) const;

  // Forward for tensors larger than memory, in stream order: reads the input as
  // fast as it is taken and hands on the output as it comes, both on this
  // thread, and in turns. The output is complete, and what it should be, only
  // when the result is OK. DATA_LOSS: it is not what the server has sent.
  absl::StatusOr<ForwardStreamResult> ForwardStream(const std::string& name,
                                                    const InputStream& input,
                                                    const OutputStream& output,
                                                    const ForwardStreamOptions& options = {}) const;

  // Forward without waiting; many may be in flight. `done` is called exactly
  // once, see Connection::ForwardAsync; the client need not outlive the call.
  void ForwardAsync(const std::string& name, const Tensor& input, const ForwardOptions& options,
                    ForwardCallback done) const;

  // The same as a future. Its destructor does not wait for the answer.
  std::future<absl::StatusOr<ForwardResult>> ForwardAsync(const std::string& name,
                                                          const Tensor& input,
                                                          const ForwardOptions& options = {}) const;

  // Forward with input and output in memory that the server uses where it is; see
  // <tconv/shared_memory.h>, which a caller includes. The elements go to `output`,
  // which takes over their type and shape; INVALID_ARGUMENT when its room is too
  // small. After an error that leaves it open whether the server still computes, as
  // DEADLINE_EXCEEDED and CANCELLED do, `output` is empty and its room is given out
  // again only when the server has ended the call. Never a stream.
  absl::StatusOr<SharedForwardResult> Forward(const std::string& name, const SharedTensor& input,
                                              SharedTensor& output,
                                              const ForwardOptions& options = {}) const;

  // The shape of Forward's output, -1 where that of the input is. Works for
  // layers that are not built.
  absl::StatusOr<Shape> ComputeOutputShape(const std::string& name, const Shape& input_shape,
                                           const CallOptions& options = {}) const;

  // Describes a layer, with the plans that compute it.
  absl::StatusOr<v1::Layer> Get(const std::string& name, const CallOptions& options = {}) const;

  // One page of layers in the order of their names. `page_size` 0: 100 layers;
  // at most 1000. `page_token` empty: the first page; else the next_page_token
  // of the page before, which is empty on the last.
  absl::StatusOr<v1::ListResponse> List(int32_t page_size = 0, const std::string& page_token = {},
                                        const CallOptions& options = {}) const;

  // All layers, page by page; the timeout is that of each page. A layer created
  // or deleted meanwhile may be missing or listed.
  absl::StatusOr<std::vector<v1::Layer>> ListAll(const CallOptions& options = {}) const;

  // Deletes a layer and its weights. Forward calls that are running finish.
  absl::Status Delete(const std::string& name, const CallOptions& options = {}) const;

  // The gradients of sum(upstream * output), where output is what Forward answers to
  // `input`. Stateless: the input comes along, and nothing changes.
  // FAILED_PRECONDITION: the layer has no weights.
  absl::StatusOr<BackwardResult> Backward(const std::string& name, const Tensor& input,
                                          const Tensor& upstream,
                                          const BackwardOptions& options = {}) const;

  // One step of the layer's optimizer with dL/dkernel and dL/dbias, in the shapes of
  // the weights. FAILED_PRECONDITION: no weights, no optimizer, or frozen.
  // ABORTED: the weights are not at `if_version`.
  absl::StatusOr<StepResult> ApplyGradients(const std::string& name, const Weights& gradients,
                                            const StepOptions& options = {}) const;

  // Forward, the loss of `signal`, Backward with the regularizers' losses, and one step
  // of the optimizer: no tensor travels twice. Errors as of ApplyGradients.
  absl::StatusOr<TrainStepResult> TrainStep(const std::string& name, const Tensor& input,
                                            const TrainSignal& signal,
                                            const TrainStepOptions& options = {}) const;

  // Freezes a layer, which then refuses steps, or thaws it.
  absl::StatusOr<v1::Layer> SetTrainable(const std::string& name, bool trainable,
                                         const CallOptions& options = {}) const;

  // Gives a layer an optimizer in place of the one that it has. Its state begins anew
  // unless `optimizer` brings one; slots need a layer that is built.
  absl::StatusOr<v1::Layer> SetOptimizer(const std::string& name, const NewOptimizer& optimizer,
                                         const CallOptions& options = {}) const;

  // The optimizer with its state, which moves to another layer by SetOptimizer.
  // FAILED_PRECONDITION: the layer has none.
  absl::StatusOr<OptimizerStatus> GetOptimizer(const std::string& name,
                                               const CallOptions& options = {}) const;

  // Puts layers behind each other, under a name that no layer has: Forward of that name
  // goes through all steps in one call. The first step is a layer, and every layer is
  // built. NOT_FOUND: there is no such layer. ALREADY_EXISTS: the name is taken.
  absl::StatusOr<v1::Chain> CreateChain(const std::string& name,
                                        const std::vector<ChainStep>& steps,
                                        const CallOptions& options = {}) const;

  // Describes a chain.
  absl::StatusOr<v1::Chain> GetChain(const std::string& name,
                                     const CallOptions& options = {}) const;

  // One page of chains, and all of them: as List() and ListAll().
  absl::StatusOr<v1::ListChainsResponse> ListChains(int32_t page_size = 0,
                                                    const std::string& page_token = {},
                                                    const CallOptions& options = {}) const;
  absl::StatusOr<std::vector<v1::Chain>> ListAllChains(const CallOptions& options = {}) const;

  // Deletes a chain. Its layers stay, and calls that are running finish.
  absl::Status DeleteChain(const std::string& name, const CallOptions& options = {}) const;

  // From which level on the server writes its log: "trace", "debug", "info",
  // "warning", "error", "critical" or "off".
  absl::StatusOr<std::string> GetLogLevel(const CallOptions& options = {}) const;
  // Changes that until the server ends, and returns the level until now.
  absl::StatusOr<std::string> SetLogLevel(const std::string& level,
                                          const CallOptions& options = {}) const;

  // Whether the server answers calls; see Connection::CheckHealth.
  absl::Status CheckHealth(const std::string& service = {}, const CallOptions& options = {}) const;

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace tconv
