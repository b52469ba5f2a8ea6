// A Sequential as the steps that it takes at inference.
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "formats/keras_model.h"
#include "formats/model.h"

namespace tconv::formats {

// The steps of the whole model, with nested Sequentials flattened and without those
// that do nothing at inference, such as Dropout. INVALID_ARGUMENT, with the name of the
// layer: the model is no Sequential, or has layers of other kinds than transposed
// convolutions and activations.
absl::StatusOr<std::vector<Step>> StepsOf(const ModelEntry& model);

}  // namespace tconv::formats
