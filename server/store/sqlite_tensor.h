// The tensors of a layer in the tables `tensor` and `chunk`. To be called inside
// a transaction.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/base/status.h"
#include "server/store/sqlite_db.h"
#include "server/tensor/tensor.h"

namespace tconv::server {

// Adds the tensor that plays `role` ("kernel", ...), in chunks of `chunk_bytes`.
// REQUIRES: the layer has none in that role.
Status InsertTensor(SqliteDb& db, int64_t layer_id, std::string_view role, ConstTensorView tensor,
                    int64_t chunk_bytes);

// DATA_LOSS when it is missing or not what was written.
StatusOr<Tensor> ReadTensor(SqliteDb& db, int64_t layer_id, std::string_view role);

// Removes every tensor of the layer.
Status DeleteTensors(SqliteDb& db, int64_t layer_id);

}  // namespace tconv::server
