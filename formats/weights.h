// Finding the weights of layers in what files hold.
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "formats/array.h"
#include "formats/hdf5_tree.h"
#include "formats/keras_model.h"
#include "formats/model.h"

namespace tconv::formats {

// Each returns the layers of `model` in their order, with their weights in the layout
// of Keras. INVALID_ARGUMENT, with the name of the layer: it has no weights in the file,
// others than its configuration asks for, or arrays of other shapes.

// From a HDF5 file of Keras: as save_weights() of Keras 3 writes it, by the classes of
// layers, or as save() of a .h5 and Keras 2 do, by their names.
absl::StatusOr<std::vector<Layer>> WithKerasWeights(const ModelEntry& model, const Hdf5Tree& tree);

enum class NamedLayout {
  kKeras,    // "up1/kernel" and "up1/bias"
  kPyTorch,  // "up1.weight", (channels, filters, kernel_size...), and "up1.bias"
};

// From arrays by name. Those of a single layer may also be called "kernel" and "bias",
// or arr_0 and arr_1; with kPyTorch, "weight" and "bias".
absl::StatusOr<std::vector<Layer>> WithNamedWeights(const ModelEntry& model, const Arrays& arrays,
                                                    NamedLayout layout);

}  // namespace tconv::formats
