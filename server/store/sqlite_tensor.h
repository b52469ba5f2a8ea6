// The tensors of a layer in the tables `tensor` and `chunk`. To be called inside
// a transaction.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/base/status.h"
#include "server/layer/weights.h"
#include "server/store/sqlite_db.h"
#include "server/store/training_state.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Puts them, in chunks of `chunk_bytes`, in the place of the weights that the layer
// has, or of what its optimizer remembers.
Status ReplaceWeights(SqliteDb& db, int64_t layer_id, const Weights& weights, int64_t chunk_bytes);
Status ReplaceSlots(SqliteDb& db, int64_t layer_id, const TrainingState& state,
                    int64_t chunk_bytes);

// The tensor that plays `role` ("kernel", ...). DATA_LOSS when it is missing or not what was
// written.
StatusOr<Tensor> ReadTensor(SqliteDb& db, int64_t layer_id, std::string_view role);

// Removes every tensor of the layer.
Status DeleteTensors(SqliteDb& db, int64_t layer_id);

}  // namespace tconv::server
