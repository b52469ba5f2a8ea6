// What the calls of a client take and answer.
#pragma once

#include <absl/status/statusor.h>
#include <tconv/options.h>
#include <tconv/tensor.h>
#include <tconv/v1/layer.pb.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
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
  // 1 after building, and one more after every SetWeights and every step.
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

// What SetWeights sets.
struct NewWeights {
  Weights weights = {};
  // When present, they are set only if the weights are at this version.
  std::optional<int64_t> if_version = {};
};

// How a tensor travels.
enum class Transfer {
  // As a stream from kStreamedBytes on, else as one message.
  kAutomatic,
  // As one message, which costs least for small tensors: at most 2 GiB each way.
  kMessage,
  // As a stream of chunks: faster for large tensors, which then have any size.
  kStream,
};

// From this size on streams are faster, whatever the output: 8 MiB.
inline constexpr size_t kStreamedBytes = size_t{8} << 20;

// Settings of Forward.
struct ForwardOptions {
  // Whether to evaluate the regularizers of the layer.
  bool compute_losses = false;
  // The least version of the weights to compute with, as SetWeights returned it:
  // so that an answer reflects that change, whichever of several servers gives it.
  // UNAVAILABLE when a server does not get there in time. 0: any version.
  int64_t min_version = 0;
  // kAutomatic goes by the size of the input. Ask for kStream when a small input
  // has a large output: one beyond 2 GiB is RESOURCE_EXHAUSTED otherwise.
  Transfer transfer = Transfer::kAutomatic;
  CallOptions call = {};
};

// Where the server spent the time of one call.
struct ServerTiming {
  std::chrono::microseconds queue = {};      // waiting for its turn
  std::chrono::microseconds plan = {};       // finding or compiling the plan
  std::chrono::microseconds compute = {};    // computing
  std::chrono::microseconds serialize = {};  // making the answer
};

// The answer of Forward.
struct ForwardResult {
  // In the data format of the layer and the compute dtype of its policy.
  Tensor output = {};
  // The version of the weights that were used.
  int64_t weights_version = 0;
  // When asked for: the terms of layer.losses in Keras' order.
  std::vector<v1::Loss> losses = {};
  // Absent when the server does not tell.
  std::optional<ServerTiming> timing = {};
};

// An input that need not be in memory as a whole, in stream order: row-major,
// except that with data format channels_first the channels come after the
// outermost spatial axis, [batch, depth, channels, height, width].
struct InputStream {
  TensorInfo info = {};
  // Writes the next elements to the beginning of `chunk` and returns their
  // number of bytes: at least one, and not more than there is room. Chunks may
  // end inside of an element. It is called until all of the input is there; an
  // error ends the call with that error.
  std::function<absl::StatusOr<size_t>(std::span<std::byte> chunk)> read = {};
};

// Takes the next elements of an output in stream order; pieces may end inside of
// an element. An error ends the call with that error.
using OutputStream =
    std::function<absl::Status(const TensorInfo& output, std::span<const std::byte> piece)>;

// Settings of ForwardStream; as in ForwardOptions.
struct ForwardStreamOptions {
  bool compute_losses = false;
  int64_t min_version = 0;
  CallOptions call = {};
};

// The answer of ForwardStream, apart from the elements.
struct ForwardStreamResult {
  // Type and shape of the output.
  TensorInfo output = {};
  // The others as in ForwardResult.
  int64_t weights_version = 0;
  std::vector<v1::Loss> losses = {};
  std::optional<ServerTiming> timing = {};
};

}  // namespace tconv
