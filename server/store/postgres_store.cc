#include "server/store/postgres_store.h"

#include <cassert>
#include <utility>

#include "server/store/layer_row.h"
#include "server/store/postgres_feed.h"
#include "server/store/postgres_pool.h"
#include "server/store/postgres_rows.h"
#include "server/store/postgres_schema.h"
#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

using Transaction = pqxx::transaction_base;

// The layer, if its weights may be replaced. A new digest would declare damage of
// its description valid.
StatusOr<PostgresLayer> FindAtVersion(Transaction& transaction, const LayerKey& key,
                                      int64_t expected_version, Lock lock) {
  TCONV_ASSIGN_OR_RETURN(PostgresLayer layer, FindLayer(transaction, key, lock));
  TCONV_RETURN_IF_ERROR(RecordOf(layer.row).status());
  if (layer.row.weights_version != expected_version) {
    return VersionMoved(key.name, expected_version, layer.row.weights_version);
  }
  return layer;
}

class PostgresStore final : public LayerStore {
 public:
  PostgresStore(PostgresAddress address, const PostgresStoreOptions& options)
      : chunk_bytes_(options.chunk_bytes),
        answer_limit_(options.answer_limit),
        pool_(std::move(address), options.max_connections) {}

  Status Prepare() { return pool_.Write(PreparePostgresSchema); }

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
  std::unique_ptr<ChangeFeed> Follow(int64_t revision) override;

 private:
  const int64_t chunk_bytes_;
  const std::chrono::milliseconds answer_limit_;
  PostgresPool pool_;
};

StatusOr<LayerIndex> PostgresStore::ReadIndex() {
  return pool_.Read([](Transaction& transaction) -> StatusOr<LayerIndex> {
    LayerIndex index = ReadLayersSince(transaction, 0);
    index.revision = ReadCatalog(transaction).revision;
    return index;
  });
}

StatusOr<int64_t> PostgresStore::Create(const LayerRecord& record, const Weights* weights) {
  assert(record.weights_version == (weights == nullptr ? 0 : weights->version));
  const LayerRow row = RowOf(record);
  return pool_.Write([&](Transaction& transaction) -> StatusOr<int64_t> {
    if (FindLayer(transaction, row.name, Lock::kNone).ok()) return LayerExists(row.name);
    const int64_t weights_id =
        weights == nullptr ? 0 : InsertWeights(transaction, *weights, chunk_bytes_);
    TCONV_ASSIGN_OR_RETURN(const int64_t revision, NextRevision(transaction, Change::kWrite));
    const pqxx::result inserted =
        Exec(transaction,
             "INSERT INTO tconv.layer (id, name, config, in_channels, weights_version, digest,"
             " weights_id, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $1)"
             " ON CONFLICT (name) DO NOTHING",
             revision, BytesParam(BytesOf(std::string_view(row.name))),
             BytesParam(BytesOf(std::string_view(row.config))), row.in_channels,
             row.weights_version, BytesParam(DigestOf(row)), weights_id);
    if (inserted.affected_rows() == 0) return LayerExists(row.name);
    return revision;
  });
}

Status PostgresStore::PutWeights(const LayerKey& key, const Weights& weights,
                                 int64_t expected_version) {
  return pool_.Write([&](Transaction& transaction) -> Status {
    // Before all the weights are sent for nothing.
    TCONV_RETURN_IF_ERROR(FindAtVersion(transaction, key, expected_version, Lock::kNone).status());
    const int64_t weights_id = InsertWeights(transaction, weights, chunk_bytes_);
    TCONV_ASSIGN_OR_RETURN(PostgresLayer layer,
                           FindAtVersion(transaction, key, expected_version, Lock::kForChange));
    DeleteWeights(transaction, layer.weights_id);
    TCONV_ASSIGN_OR_RETURN(const int64_t revision, NextRevision(transaction, Change::kWrite));
    layer.row.in_channels = weights.in_channels();
    layer.row.weights_version = weights.version;
    Exec(transaction,
         "UPDATE tconv.layer SET in_channels = $2, weights_version = $3, digest = $4,"
         " weights_id = $5, revision = $6 WHERE id = $1",
         key.id, layer.row.in_channels, layer.row.weights_version, BytesParam(DigestOf(layer.row)),
         weights_id, revision);
    return OkStatus();
  });
}

Status PostgresStore::PutSettings(const LayerRecord& /*settings*/, const TrainingState* /*state*/,
                                  int64_t /*expected_version*/) {
  return Status(StatusCode::kUnimplemented, "store: training");
}

Status PostgresStore::PutStep(const LayerKey& /*layer*/, const Weights& /*weights*/,
                              const TrainingState& /*state*/, const StepBase& /*expected*/) {
  return Status(StatusCode::kUnimplemented, "store: training");
}

StatusOr<StoredTraining> PostgresStore::ReadTraining(const LayerKey& /*layer*/) {
  return Status(StatusCode::kUnimplemented, "store: training");
}

StatusOr<Weights> PostgresStore::ReadWeights(const LayerKey& key) {
  return pool_.Read([&](Transaction& transaction) -> StatusOr<Weights> {
    TCONV_ASSIGN_OR_RETURN(const PostgresLayer layer, FindLayer(transaction, key, Lock::kNone));
    TCONV_ASSIGN_OR_RETURN(const LayerRecord record, RecordOf(layer.row));
    return server::ReadWeights(transaction, record, layer.weights_id);
  });
}

Status PostgresStore::Delete(const std::string& name) {
  return pool_.Write([&](Transaction& transaction) -> Status {
    TCONV_ASSIGN_OR_RETURN(const PostgresLayer layer,
                           FindLayer(transaction, name, Lock::kForChange));
    DeleteWeights(transaction, layer.weights_id);
    TCONV_RETURN_IF_ERROR(NextRevision(transaction, Change::kRemoval).status());
    Exec(transaction, "DELETE FROM tconv.layer WHERE id = $1", layer.row.id);
    return OkStatus();
  });
}

std::unique_ptr<ChangeFeed> PostgresStore::Follow(int64_t revision) {
  return std::make_unique<PostgresFeed>(pool_, revision, answer_limit_);
}

}  // namespace

StatusOr<std::unique_ptr<LayerStore>> OpenPostgresStore(const std::string& uri,
                                                        const PostgresStoreOptions& options) {
  TCONV_ASSIGN_OR_RETURN(PostgresAddress address, ParsePostgresAddress(uri));
  auto store = std::make_unique<PostgresStore>(std::move(address), options);
  TCONV_RETURN_IF_ERROR(store->Prepare());
  return store;
}

}  // namespace tconv::server
