// How far the training of a layer is, as the columns and tensors that every database
// keeps of it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "server/base/status.h"
#include "server/store/bytes.h"
#include "server/store/digest.h"
#include "server/store/layer_store.h"
#include "server/store/training_state.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// A serialized tconv.store.TrainingRecord: all but the tensors. Empty columns stand
// for a layer that was never trained.
std::string TrainingColumnOf(const TrainingState& state);
Digest DigestOfTraining(std::string_view column);

// Gives every tensor to `insert`, up to its first error.
Status ForEachTensor(
    const TrainingState& state,
    const std::function<Status(std::string_view role, ConstTensorView tensor)>& insert);

// The state from its columns as they were read, and from what `read(role)` returns.
// DATA_LOSS names the layer.
StatusOr<TrainingState> AssembleTraining(
    const LayerRecord& layer, std::string_view column, ByteSpan digest,
    const std::function<StatusOr<Tensor>(std::string_view role)>& read);

}  // namespace tconv::server
