#include "server/store/sqlite_tensor.h"

#include <algorithm>
#include <string>

#include "server/store/tensor_row.h"
#include "server/store/training_row.h"

namespace tconv::server {
namespace {

StatusOr<TensorRow> ReadRow(SqliteDb& db, int64_t layer_id, std::string_view role) {
  SqliteStatement select(db,
                         "SELECT dtype, shape, digest FROM tensor WHERE layer_id = ? AND role = ?",
                         layer_id, role);
  TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
  if (!found) return DamagedTensor(role, "missing");
  return ParseTensorRow(role, select.Text(0), select.Text(1), select.Blob(2));
}

// SQLite knows the lengths without reading the chunks.
StatusOr<int64_t> StoredBytes(SqliteDb& db, int64_t layer_id, std::string_view role) {
  SqliteStatement select(
      db, "SELECT ifnull(sum(length(data)), 0) FROM chunk WHERE layer_id = ? AND role = ?",
      layer_id, role);
  TCONV_RETURN_IF_ERROR(select.Step().status());
  return select.Int(0);
}

// REQUIRES: the chunks together have the size of `tensor`.
Status ReadElements(SqliteDb& db, int64_t layer_id, std::string_view role, TensorView tensor) {
  SqliteStatement select(db,
                         "SELECT data FROM chunk WHERE layer_id = ? AND role = ? ORDER BY position",
                         layer_id, role);
  std::byte* out = tensor.data;
  while (true) {
    TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
    if (!found) return OkStatus();
    out = std::ranges::copy(select.Blob(0), out).out;
  }
}

// REQUIRES: the layer has none in that role.
Status InsertTensor(SqliteDb& db, int64_t layer_id, std::string_view role, ConstTensorView tensor,
                    int64_t chunk_bytes) {
  TCONV_RETURN_IF_ERROR(
      db.Execute("INSERT INTO tensor (layer_id, role, dtype, shape, digest) VALUES (?, ?, ?, ?, ?)",
                 layer_id, role, NameOf(tensor.dtype), ToString(tensor.shape), DigestOf(tensor)));
  ByteSpan rest = BytesOf(tensor);
  for (int64_t position = 0; !rest.empty(); ++position) {
    const ByteSpan chunk = rest.first(std::min(rest.size(), static_cast<size_t>(chunk_bytes)));
    TCONV_RETURN_IF_ERROR(
        db.Execute("INSERT INTO chunk (layer_id, role, position, data) VALUES (?, ?, ?, ?)",
                   layer_id, role, position, chunk));
    rest = rest.subspan(chunk.size());
  }
  return OkStatus();
}

// Of those whose role satisfies `condition`.
Status DeleteTensors(SqliteDb& db, int64_t layer_id, const std::string& condition) {
  for (const char* table : {"chunk", "tensor"}) {
    const std::string sql =
        fmt::format("DELETE FROM {} WHERE layer_id = ? AND {}", table, condition);
    TCONV_RETURN_IF_ERROR(db.Execute(sql.c_str(), layer_id));
  }
  return OkStatus();
}

// `tensors` are Weights or a TrainingState.
template <typename Tensors>
Status Replace(SqliteDb& db, int64_t layer_id, const char* old_roles, const Tensors& tensors,
               int64_t chunk_bytes) {
  TCONV_RETURN_IF_ERROR(DeleteTensors(db, layer_id, old_roles));
  return ForEachTensor(tensors, [&](std::string_view role, ConstTensorView tensor) {
    return InsertTensor(db, layer_id, role, tensor, chunk_bytes);
  });
}

}  // namespace

Status ReplaceWeights(SqliteDb& db, int64_t layer_id, const Weights& weights, int64_t chunk_bytes) {
  return Replace(db, layer_id, "role IN ('kernel', 'bias')", weights, chunk_bytes);
}

Status ReplaceSlots(SqliteDb& db, int64_t layer_id, const TrainingState& state,
                    int64_t chunk_bytes) {
  return Replace(db, layer_id, "role NOT IN ('kernel', 'bias')", state, chunk_bytes);
}

StatusOr<Tensor> ReadTensor(SqliteDb& db, int64_t layer_id, std::string_view role) {
  TCONV_ASSIGN_OR_RETURN(const TensorRow row, ReadRow(db, layer_id, role));
  TCONV_ASSIGN_OR_RETURN(const int64_t stored_bytes, StoredBytes(db, layer_id, role));
  TCONV_ASSIGN_OR_RETURN(Tensor tensor, AllocateTensor(role, row, stored_bytes));
  TCONV_RETURN_IF_ERROR(ReadElements(db, layer_id, role, tensor.mutable_view()));
  TCONV_RETURN_IF_ERROR(VerifyTensor(role, row, tensor.view()));
  return tensor;
}

Status DeleteTensors(SqliteDb& db, int64_t layer_id) { return DeleteTensors(db, layer_id, "true"); }

}  // namespace tconv::server
