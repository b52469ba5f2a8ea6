// Reading whole model files, of all formats.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "formats/model.h"

namespace tconv::formats {

struct ReadOptions {
  // JSON of the model or of layers, for a file that has weights alone; empty: the file of
  // the same name that ends in ".json" and lies beside.
  std::string config_path = {};
  // The arrays of a .npz or .safetensors are named and laid out as PyTorch's.
  bool from_pytorch = false;
};

// "model.keras", "model.weights.h5", "model.h5", "model.npz", "model.safetensors".
bool IsModelFile(std::string_view path);

// "dir/model.json" for "dir/model.weights.h5". REQUIRES: IsModelFile().
std::string ConfigBeside(std::string_view path);

// The transposed convolutions of a file. A corrupt or hostile one is an error and never
// more; the process forks meanwhile. INVALID_ARGUMENT with what is wrong, without the path:
// the file or its configuration cannot be read, is damaged, or is not complete; options
// that its format has no use for.
absl::StatusOr<Model> ReadModelFile(const std::string& path, const ReadOptions& options = {});

}  // namespace tconv::formats
