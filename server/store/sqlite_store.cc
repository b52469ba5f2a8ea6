#include "server/store/sqlite_store.h"

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "server/base/mutex.h"
#include "server/store/chain_row.h"
#include "server/store/layer_row.h"
#include "server/store/sqlite_db.h"
#include "server/store/sqlite_file.h"
#include "server/store/sqlite_tensor.h"
#include "server/store/store_errors.h"
#include "server/store/tensor_row.h"
#include "server/store/training_row.h"

namespace tconv::server {
namespace {

using Kind = SqliteTransaction::Kind;

std::string SelectLayers(std::string_view which) {
  return fmt::format(
      "SELECT id, name, config, in_channels, weights_version, settings_version, optimizer, kind,"
      " digest, settings_digest FROM layer {}",
      which);
}

std::string BytesIn(SqliteStatement& select, int column) {
  const ByteSpan bytes = select.Blob(column);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

LayerRow ReadRow(SqliteStatement& select) {
  return Verified({.id = select.Int(0),
                   .name = std::string(select.Text(1)),
                   .config = BytesIn(select, 2),
                   .in_channels = select.Int(3),
                   .weights_version = select.Int(4),
                   .settings_version = select.Int(5),
                   .optimizer = BytesIn(select, 6),
                   .kind = static_cast<EntryKind>(select.Int(7))},
                  select.Blob(8), select.Blob(9));
}

// Nothing: there is no row.
StatusOr<std::optional<LayerRow>> OnlyRowOf(SqliteStatement& select) {
  TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
  return found ? std::optional(ReadRow(select)) : std::nullopt;
}

StatusOr<std::optional<LayerRow>> FindRow(SqliteDb& db, const std::string& name) {
  SqliteStatement select(db, SelectLayers("WHERE name = ?").c_str(), name);
  return OnlyRowOf(select);
}

StatusOr<LayerRow> FindRow(SqliteDb& db, const std::string& name, EntryKind kind) {
  TCONV_ASSIGN_OR_RETURN(std::optional<LayerRow> row, FindRow(db, name));
  if (row.has_value() && row->kind == kind) return *std::move(row);
  return kind == EntryKind::kChain ? ChainNotFound(name) : LayerNotFound(name);
}

StatusOr<LayerRecord> FindLayer(SqliteDb& db, const LayerKey& layer) {
  SqliteStatement select(db, SelectLayers("WHERE id = ?").c_str(), layer.id);
  TCONV_ASSIGN_OR_RETURN(const std::optional<LayerRow> row, OnlyRowOf(select));
  if (!row.has_value()) return LayerNotFound(layer.name);
  return RecordOf(*row);
}

// The id of the new row. ALREADY_EXISTS.
StatusOr<int64_t> InsertRow(SqliteDb& db, const LayerRow& row) {
  TCONV_ASSIGN_OR_RETURN(const std::optional<LayerRow> other, FindRow(db, row.name));
  if (other.has_value()) return NameIsTaken(*other);
  TCONV_RETURN_IF_ERROR(
      db.Execute("INSERT INTO layer (name, config, in_channels, weights_version, settings_version,"
                 " optimizer, kind, digest, settings_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                 row.name, BytesOf(row.config), row.in_channels, row.weights_version,
                 row.settings_version, BytesOf(row.optimizer), static_cast<int64_t>(row.kind),
                 DigestOf(row), DigestOfSettings(row)));
  return db.QueryInt("SELECT last_insert_rowid()");
}

// FAILED_PRECONDITION: a chain has the layer.
Status CheckIsInNoChain(SqliteDb& db, const LayerRow& layer) {
  SqliteStatement select(db, SelectLayers("WHERE kind = 1 ORDER BY name").c_str());
  while (true) {
    TCONV_ASSIGN_OR_RETURN(const bool found, select.Step());
    if (!found) return OkStatus();
    TCONV_RETURN_IF_ERROR(CheckIsWithout(ReadRow(select), layer));
  }
}

// REQUIRES: `record` was intact. A new digest would declare damage valid.
Status UpdateRow(SqliteDb& db, const LayerRecord& record) {
  const LayerRow row = RowOf(record);
  return db.Execute(
      "UPDATE layer SET config = ?, in_channels = ?, weights_version = ?, settings_version = ?,"
      " optimizer = ?, digest = ?, settings_digest = ? WHERE id = ?",
      BytesOf(row.config), row.in_channels, row.weights_version, row.settings_version,
      BytesOf(row.optimizer), DigestOf(row), DigestOfSettings(row), row.id);
}

Status ReplaceTraining(SqliteDb& db, int64_t layer_id, const TrainingState& state,
                       int64_t chunk_bytes) {
  const std::string column = TrainingColumnOf(state);
  TCONV_RETURN_IF_ERROR(
      db.Execute("UPDATE layer SET training = ?, training_digest = ? WHERE id = ?", BytesOf(column),
                 DigestOfTraining(column), layer_id));
  return ReplaceSlots(db, layer_id, state, chunk_bytes);
}

class SqliteStore final : public LayerStore {
 public:
  SqliteStore(SqliteFile file, const SqliteStoreOptions& options)
      : path_(file.path), chunk_bytes_(options.chunk_bytes), file_(std::move(file)) {}

  StatusOr<LayerIndex> ReadIndex() override;
  StatusOr<int64_t> Create(const LayerRecord& record, const Weights* weights) override;
  Status Update(const LayerKey& layer, const LayerChange& change) override;
  StatusOr<StoredTraining> ReadTraining(const LayerKey& layer) override;
  StatusOr<Weights> ReadWeights(const LayerKey& layer) override;
  Status Delete(const std::string& name) override;
  StatusOr<int64_t> CreateChain(const ChainRecord& record) override;
  Status DeleteChain(const std::string& name) override;
  std::unique_ptr<ChangeFeed> Follow(int64_t) override { return nullptr; }

 private:
  const std::string path_;
  const int64_t chunk_bytes_;
  Mutex mutex_;  // one change at a time
  SqliteFile file_ TCONV_GUARDED_BY(mutex_);
};

StatusOr<LayerIndex> SqliteStore::ReadIndex() {
  TCONV_ASSIGN_OR_RETURN(SqliteDb db, SqliteDb::Open(path_));
  SqliteStatement select(db, SelectLayers("ORDER BY name").c_str());
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
  TCONV_ASSIGN_OR_RETURN(const int64_t id, InsertRow(db, row));
  if (weights != nullptr) {
    TCONV_RETURN_IF_ERROR(ReplaceWeights(db, id, *weights, chunk_bytes_));
  }
  TCONV_RETURN_IF_ERROR(transaction.Commit());
  return id;
}

Status SqliteStore::Update(const LayerKey& layer, const LayerChange& change) {
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                         SqliteTransaction::Begin(db, Kind::kImmediate));
  TCONV_ASSIGN_OR_RETURN(LayerRecord record, FindLayer(db, layer));
  TCONV_RETURN_IF_ERROR(change.CheckBase(record));
  change.ApplyTo(record);
  TCONV_RETURN_IF_ERROR(UpdateRow(db, record));
  if (change.weights != nullptr) {
    TCONV_RETURN_IF_ERROR(ReplaceWeights(db, record.id, *change.weights, chunk_bytes_));
  }
  if (change.training != nullptr) {
    TCONV_RETURN_IF_ERROR(ReplaceTraining(db, record.id, *change.training, chunk_bytes_));
  }
  return transaction.Commit();
}

StatusOr<Weights> SqliteStore::ReadWeights(const LayerKey& layer) {
  TCONV_ASSIGN_OR_RETURN(SqliteDb db, SqliteDb::Open(path_));
  TCONV_ASSIGN_OR_RETURN(const SqliteTransaction one_state,
                         SqliteTransaction::Begin(db, Kind::kDeferred));
  TCONV_ASSIGN_OR_RETURN(const LayerRecord record, FindLayer(db, layer));
  return AssembleWeights(record,
                         [&](std::string_view role) { return ReadTensor(db, record.id, role); });
}

StatusOr<StoredTraining> SqliteStore::ReadTraining(const LayerKey& layer) {
  TCONV_ASSIGN_OR_RETURN(SqliteDb db, SqliteDb::Open(path_));
  TCONV_ASSIGN_OR_RETURN(const SqliteTransaction one_state,
                         SqliteTransaction::Begin(db, Kind::kDeferred));
  StoredTraining stored;
  TCONV_ASSIGN_OR_RETURN(stored.layer, FindLayer(db, layer));
  SqliteStatement select(db, "SELECT training, training_digest FROM layer WHERE id = ?", layer.id);
  TCONV_RETURN_IF_ERROR(select.Step().status());
  TCONV_ASSIGN_OR_RETURN(stored.state, AssembleTraining(stored.layer, BytesIn(select, 0),
                                                        select.Blob(1), [&](std::string_view role) {
                                                          return ReadTensor(db, layer.id, role);
                                                        }));
  return stored;
}

Status SqliteStore::Delete(const std::string& name) {
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  {
    TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                           SqliteTransaction::Begin(db, Kind::kImmediate));
    TCONV_ASSIGN_OR_RETURN(const LayerRow row, FindRow(db, name, EntryKind::kLayer));
    TCONV_RETURN_IF_ERROR(CheckIsInNoChain(db, row));
    TCONV_RETURN_IF_ERROR(DeleteTensors(db, row.id));
    TCONV_RETURN_IF_ERROR(db.Execute("DELETE FROM layer WHERE id = ?", row.id));
    TCONV_RETURN_IF_ERROR(transaction.Commit());
  }
  // The layer is gone, whether or not its space can be given back now: what
  // stays is taken by the next weights or given back by the next deletion.
  db.Execute("PRAGMA incremental_vacuum").IgnoreError();
  return OkStatus();
}

StatusOr<int64_t> SqliteStore::CreateChain(const ChainRecord& record) {
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                         SqliteTransaction::Begin(db, Kind::kImmediate));
  for (const LayerKey& layer : LayersOf(record)) {
    TCONV_RETURN_IF_ERROR(FindLayer(db, layer).status());
  }
  TCONV_ASSIGN_OR_RETURN(const int64_t id, InsertRow(db, RowOf(record)));
  TCONV_RETURN_IF_ERROR(transaction.Commit());
  return id;
}

Status SqliteStore::DeleteChain(const std::string& name) {
  const MutexLock lock(mutex_);
  SqliteDb& db = file_.db;
  TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                         SqliteTransaction::Begin(db, Kind::kImmediate));
  TCONV_ASSIGN_OR_RETURN(const LayerRow row, FindRow(db, name, EntryKind::kChain));
  TCONV_RETURN_IF_ERROR(db.Execute("DELETE FROM layer WHERE id = ?", row.id));
  return transaction.Commit();
}

}  // namespace

StatusOr<std::unique_ptr<LayerStore>> OpenSqliteStore(const std::string& path,
                                                      const SqliteStoreOptions& options) {
  TCONV_ASSIGN_OR_RETURN(SqliteFile file, OpenSqliteFile(path));
  return std::make_unique<SqliteStore>(std::move(file), options);
}

}  // namespace tconv::server
