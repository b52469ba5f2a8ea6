#include "server/store/sqlite_tensor.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "server/store/digest.h"

namespace tconv::server {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are stored as they lie");

ByteSpan BytesOf(ConstTensorView tensor) {
  return {tensor.data, static_cast<size_t>(tensor.size_bytes())};
}

Digest DigestOf(ConstTensorView tensor) {
  return DigestBuilder()
      .Add(NameOf(tensor.dtype))
      .Add(ToString(tensor.shape))
      .AddBytes(BytesOf(tensor))
      .Finish();
}

std::optional<DType> ParseDType(std::string_view name) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    if (NameOf(dtype) == name) return dtype;
  }
  return std::nullopt;
}

// What ToString(Shape) writes.
std::optional<Shape> ParseShape(std::string_view text) {
  std::vector<int64_t> dims;
  for (size_t i = 0; i < text.size();) {
    int64_t dim = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), dim);
    if (error == std::errc()) dims.push_back(dim);
    i = std::max(i + 1, static_cast<size_t>(end - text.data()));
  }
  const StatusOr<Shape> shape = Shape::Make(dims);
  // Whatever else the text was, it is not what ToString() made of these dims.
  if (!shape.ok() || ToString(*shape) != text) return std::nullopt;
  return *shape;
}

Status Damaged(std::string_view role, std::string_view how) {
  return MakeError(StatusCode::kDataLoss, "{}: {}", role, how);
}

// One row of the table `tensor`.
struct TensorRow {
  DType dtype;
  Shape shape;
  Digest digest;
};

StatusOr<TensorRow> ReadRow(SqliteDb& db, int64_t layer_id, std::string_view role) {
  SqliteStatement select(db,
                         "SELECT dtype, shape, digest FROM tensor WHERE layer_id = ? AND role = ?",
                         layer_id, role);
  TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
  if (!found) return Damaged(role, "missing");
  const std::optional<DType> dtype = ParseDType(select.Text(0));
  const std::optional<Shape> shape = ParseShape(select.Text(1));
  const ByteSpan digest = select.Blob(2);
  TensorRow row;
  if (!dtype.has_value() || !shape.has_value() || digest.size() != row.digest.size()) {
    return Damaged(role, "the stored description is unreadable");
  }
  row.dtype = *dtype;
  row.shape = *shape;
  std::ranges::copy(digest, row.digest.begin());
  return row;
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

}  // namespace

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

StatusOr<Tensor> ReadTensor(SqliteDb& db, int64_t layer_id, std::string_view role) {
  TCONV_ASSIGN_OR_RETURN(const TensorRow row, ReadRow(db, layer_id, role));
  TCONV_ASSIGN_OR_RETURN(const int64_t stored_bytes, StoredBytes(db, layer_id, role));
  // Before memory is taken for a size that may be nonsense.
  if (stored_bytes != ConstTensorView{row.dtype, row.shape}.size_bytes()) {
    return Damaged(role, fmt::format("{} bytes stored for {} of {}", stored_bytes,
                                     ToString(row.shape), NameOf(row.dtype)));
  }
  TCONV_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(row.dtype, row.shape));
  TCONV_RETURN_IF_ERROR(ReadElements(db, layer_id, role, tensor.mutable_view()));
  if (DigestOf(tensor.view()) != row.digest) return Damaged(role, "the digest differs");
  return tensor;
}

Status DeleteTensors(SqliteDb& db, int64_t layer_id) {
  TCONV_RETURN_IF_ERROR(db.Execute("DELETE FROM chunk WHERE layer_id = ?", layer_id));
  return db.Execute("DELETE FROM tensor WHERE layer_id = ?", layer_id);
}

}  // namespace tconv::server
