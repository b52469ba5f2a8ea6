#include "server/store/sqlite_store.h"

#include <cassert>
#include <string_view>
#include <utility>

#include "server/base/mutex.h"
#include "server/store/layer_row.h"
#include "server/store/sqlite_db.h"
#include "server/store/sqlite_file.h"
#include "server/store/sqlite_tensor.h"
#include "server/store/store_errors.h"
#include "server/store/tensor_row.h"

namespace tconv::server {
namespace {

using Kind = SqliteTransaction::Kind;

constexpr char kSelectLayers[] =
    "SELECT id, name, config, in_channels, weights_version, digest FROM layer ORDER BY name";
constexpr char kSelectLayerByName[] =
    "SELECT id, name, config, in_channels, weights_version, digest FROM layer WHERE name = ?";
constexpr char kSelectLayerById[] =
    "SELECT id, name, config, in_channels, weights_version, digest FROM layer WHERE id = ?";

LayerRow ReadRow(SqliteStatement& select) {
  const ByteSpan config = select.Blob(2);
  return Verified(
      {.id = select.Int(0),
       .name = std::string(select.Text(1)),
       .config = std::string(reinterpret_cast<const char*>(config.data()), config.size()),
       .in_channels = select.Int(3),
       .weights_version = select.Int(4)},
      select.Blob(5));
}

StatusOr<LayerRow> OnlyRowOf(SqliteStatement& select, const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
  if (!found) return LayerNotFound(name);
  return ReadRow(select);
}

StatusOr<LayerRow> FindLayer(SqliteDb& db, const std::string& name) {
  SqliteStatement select(db, kSelectLayerByName, name);
  return OnlyRowOf(select, name);
}

StatusOr<LayerRow> FindLayer(SqliteDb& db, const LayerKey& layer) {
  SqliteStatement select(db, kSelectLayerById, layer.id);
  return OnlyRowOf(select, layer.name);
}

Status InsertWeights(SqliteDb& db, int64_t layer_id, const Weights& weights, int64_t chunk_bytes) {
  return ForEachTensor(weights, [&](std::string_view role, ConstTensorView tensor) {
    return InsertTensor(db, layer_id, role, tensor, chunk_bytes);
  });
}

class SqliteStore final : public LayerStore {
 public:
  SqliteStore(SqliteFile file, const SqliteStoreOptions& options)
      : path_(file.path), chunk_bytes_(options.chunk_bytes), file_(std::move(file)) {}

  StatusOr<LayerIndex> ReadIndex() override;
  StatusOr<int64_t> Create(const LayerRecord& record, const Weights* weights) override;
  Status PutWeights(const LayerKey& layer, const Weights& weights,
                    int64_t expected_version) override;
  Status PutSettings(const LayerRecord& settings, const TrainingState* state,
                     int64_t expected_version) override;
  Status PutStep(const LayerKey& layer, const Weights& weights, const TrainingState& state,
                 const StepBase& expected) override;
  StatusOr<StoredTraining> ReadTraining(const LayerKey& layer) override;
  StatusOr<Weights> ReadWeights(const LayerKey& layer) override;
  Status Delete(const std::string& name) override;
  std::unique_ptr<ChangeFeed> Follow(int64_t) override { return nullptr; }

 private:
  const std::string path_;
  const int64_t chunk_bytes_;
  Mutex mutex_;  // one change at a time
  SqliteFile file_ TCONV_GUARDED_BY(mutex_);
};

StatusOr<LayerIndex> SqliteStore::ReadIndex() {
  TCONV_ASSIGN_OR_RETURN(SqliteDb db, SqliteDb::Open(path_));
  SqliteStatement select(db, kSelectLayers);
  LayerIndex index;
  while (true) {
    TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
    if (!found) return index;
    AddTo(index, ReadRow(select));
  }
}

StatusOr<int64_t> SqliteStore::Create(const LayerRecord& record, const Weights* weights) {
  assert(record.weights_version == (weights == nullptr ? 0 : weights->version));
  const LayerRow row = RowOf(record);
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                         SqliteTransaction::Begin(db, Kind::kImmediate));
  const Status found = FindLayer(db, record.name).status();
  if (found.ok()) return LayerExists(record.name);
  if (found.code() != StatusCode::kNotFound) return found;
  TCONV_RETURN_IF_ERROR(db.Execute(
      "INSERT INTO layer (name, config, in_channels, weights_version, digest)"
      " VALUES (?, ?, ?, ?, ?)",
      row.name, BytesOf(row.config), row.in_channels, row.weights_version, DigestOf(row)));
  TCONV_ASSIGN_OR_RETURN(const int64_t id, db.QueryInt("SELECT last_insert_rowid()"));
  if (weights != nullptr) {
    TCONV_RETURN_IF_ERROR(InsertWeights(db, id, *weights, chunk_bytes_));
  }
  TCONV_RETURN_IF_ERROR(transaction.Commit());
  return id;
}

Status SqliteStore::PutWeights(const LayerKey& layer, const Weights& weights,
                               int64_t expected_version) {
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                         SqliteTransaction::Begin(db, Kind::kImmediate));
  TCONV_ASSIGN_OR_RETURN(LayerRow row, FindLayer(db, layer));
  // A new digest would declare the damage valid.
  TCONV_RETURN_IF_ERROR(RecordOf(row).status());
  if (row.weights_version != expected_version) {
    return VersionMoved(layer.name, expected_version, row.weights_version);
  }
  row.in_channels = weights.in_channels();
  row.weights_version = weights.version;
  TCONV_RETURN_IF_ERROR(
      db.Execute("UPDATE layer SET in_channels = ?, weights_version = ?, digest = ? WHERE id = ?",
                 row.in_channels, row.weights_version, DigestOf(row), row.id));
  TCONV_RETURN_IF_ERROR(DeleteTensors(db, row.id));
  TCONV_RETURN_IF_ERROR(InsertWeights(db, row.id, weights, chunk_bytes_));
  return transaction.Commit();
}

Status SqliteStore::PutSettings(const LayerRecord& /*settings*/, const TrainingState* /*state*/,
                                int64_t /*expected_version*/) {
  return Status(StatusCode::kUnimplemented, "store: training");
}

Status SqliteStore::PutStep(const LayerKey& /*layer*/, const Weights& /*weights*/,
                            const TrainingState& /*state*/, const StepBase& /*expected*/) {
  return Status(StatusCode::kUnimplemented, "store: training");
}

StatusOr<StoredTraining> SqliteStore::ReadTraining(const LayerKey& /*layer*/) {
  return Status(StatusCode::kUnimplemented, "store: training");
}

StatusOr<Weights> SqliteStore::ReadWeights(const LayerKey& layer) {
  TCONV_ASSIGN_OR_RETURN(SqliteDb db, SqliteDb::Open(path_));
  TCONV_ASSIGN_OR_RETURN(const SqliteTransaction one_state,
                         SqliteTransaction::Begin(db, Kind::kDeferred));
  TCONV_ASSIGN_OR_RETURN(const LayerRow row, FindLayer(db, layer));
  TCONV_ASSIGN_OR_RETURN(const LayerRecord record, RecordOf(row));
  return AssembleWeights(record,
                         [&](std::string_view role) { return ReadTensor(db, row.id, role); });
}

Status SqliteStore::Delete(const std::string& name) {
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  {
    TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                           SqliteTransaction::Begin(db, Kind::kImmediate));
    TCONV_ASSIGN_OR_RETURN(const LayerRow row, FindLayer(db, name));
    TCONV_RETURN_IF_ERROR(DeleteTensors(db, row.id));
    TCONV_RETURN_IF_ERROR(db.Execute("DELETE FROM layer WHERE id = ?", row.id));
    TCONV_RETURN_IF_ERROR(transaction.Commit());
  }
  // The layer is gone, whether or not its space can be given back now: what
  // stays is taken by the next weights or given back by the next deletion.
  db.Execute("PRAGMA incremental_vacuum").IgnoreError();
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<LayerStore>> OpenSqliteStore(const std::string& path,
                                                      const SqliteStoreOptions& options) {
  TCONV_ASSIGN_OR_RETURN(SqliteFile file, OpenSqliteFile(path));
  return std::make_unique<SqliteStore>(std::move(file), options);
}

}  // namespace tconv::server
