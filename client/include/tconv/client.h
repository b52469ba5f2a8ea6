// Client, transposed-convolution layers on a tconv server.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <tconv/connection.h>
#include <tconv/options.h>
#include <tconv/tensor.h>
#include <tconv/v1/layer.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tconv {

// Weights in the order and layout of Keras' get_weights().
struct Weights {
  // [kernel_size..., filters, channels of the input], whatever the data format.
  Tensor kernel = {};
  // [filters]; present exactly when the layer uses a bias.
  std::optional<Tensor> bias = {};
};

// Weights as the server holds them.
struct VersionedWeights {
  // In the variable dtype of the layer's policy.
  Weights weights = {};
  // 1 after building, and one more after every SetWeights.
  int64_t version = 0;
};

// The JSON text of layer.get_config(), of
// keras.saving.serialize_keras_object(layer), or of one layer out of the
// config.json in a .keras file; Keras 2 or 3.
struct KerasJson {
  std::string text = {};
};

// What Create makes.
struct NewLayer {
  // Name on the server, its address in every other call: at most 255 bytes
  // without "/". Empty: the name in the definition, else one generated as Keras
  // does, "conv2d_transpose", "conv2d_transpose_1", ...
  std::string name = {};
  // What the layer is, in one of two forms. Required.
  std::variant<v1::LayerConfig, KerasJson> definition = {};
  // Builds the layer for inputs of this shape in its data format:
  // [batch, spatial..., channels] or [batch, channels, spatial...], -1 where
  // unknown, the channels known. Empty: not built, unless there are weights.
  Shape input_shape = {};
  // Instead of the initializers'; they build the layer as well.
  std::optional<Weights> weights = {};
};

// Settings of Forward.
struct ForwardOptions {
  // Whether to evaluate the regularizers of the layer.
  bool compute_losses = false;
  CallOptions call = {};
};

// The answer of Forward.
struct ForwardResult {
  // In the data format of the layer and the compute dtype of its policy.
  Tensor output = {};
  // The version of the weights that were used.
  int64_t weights_version = 0;
  // When asked for: the terms of layer.losses in Keras' order.
  std::vector<v1::Loss> losses = {};
};

// Layers by name. Every function is one call of tconv.v1.TransposedConvService;
// the .proto documents its errors, and Connection those of every call. All of
// them return when the answer is there, except ForwardAsync. Arguments that a
// function takes by value are moved into the request: std::move() large tensors.
// Thread-safe; a copy shares the connection.
class Client {
 public:
  using ForwardCallback = std::function<void(absl::StatusOr<ForwardResult>)>;

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

  // The weights bit for bit. FAILED_PRECONDITION: not built.
  absl::StatusOr<VersionedWeights> GetWeights(const std::string& name,
                                              const CallOptions& options = {}) const;

  // Computes activation(transposed_convolution(input, kernel) + bias). `input`
  // is [batch, spatial..., channels] or [batch, channels, spatial...] by the
  // data format of the layer, of any batch and spatial extents.
  // FAILED_PRECONDITION: the layer has no weights.
  absl::StatusOr<ForwardResult> Forward(const std::string& name, Tensor input,
                                        const ForwardOptions& options = {}) const;

  // The same without waiting; many may be in flight. `done` is called exactly
  // once, see Connection::ForwardAsync; the client need not outlive the call.
  void ForwardAsync(const std::string& name, Tensor input, const ForwardOptions& options,
                    ForwardCallback done) const;

  // The same as a future. Its destructor does not wait for the answer.
  std::future<absl::StatusOr<ForwardResult>> ForwardAsync(const std::string& name, Tensor input,
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

  // Whether the server answers calls; see Connection::CheckHealth.
  absl::Status CheckHealth(const std::string& service = {}, const CallOptions& options = {}) const;

 private:
  std::shared_ptr<Connection> connection_;
};

}  // namespace tconv
