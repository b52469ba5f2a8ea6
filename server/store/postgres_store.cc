#include "server/store/postgres_store.h"

#include <cassert>
#include <utility>

#include "server/store/chain_row.h"
#include "server/store/layer_row.h"
#include "server/store/postgres_feed.h"
#include "server/store/postgres_pool.h"
#include "server/store/postgres_rows.h"
#include "server/store/postgres_schema.h"
#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

using Transaction = pqxx::transaction_base;

// The layer, if the change may be made.
StatusOr<IntactLayer> FindBase(Transaction& transaction, const LayerKey& key,
                               const LayerChange& change, Lock lock) {
  TCONV_ASSIGN_OR_RETURN(IntactLayer layer, FindIntactLayer(transaction, key, lock));
  TCONV_RETURN_IF_ERROR(change.CheckBase(layer.record));
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
  Status Update(const LayerKey& layer, const LayerChange& change) override;
  StatusOr<StoredTraining> ReadTraining(const LayerKey& layer) override;
  StatusOr<Weights> ReadWeights(const LayerKey& layer) override;
  Status Delete(const std::string& name) override;
  StatusOr<int64_t> CreateChain(const ChainRecord& record) override;
  Status DeleteChain(const std::string& name) override;
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
    TCONV_RETURN_IF_ERROR(CheckNameIsFree(transaction, row.name));
    const int64_t weights_id = InsertTensors(transaction, weights, chunk_bytes_);
    TCONV_ASSIGN_OR_RETURN(const int64_t revision, NextRevision(transaction, Change::kWrite));
    TCONV_RETURN_IF_ERROR(CheckNameIsFree(transaction, row.name));
    InsertEntry(transaction, row, weights_id, revision);
    return revision;
  });
}

Status PostgresStore::Update(const LayerKey& key, const LayerChange& change) {
  return pool_.Write([&](Transaction& transaction) -> Status {
    // Before all the tensors are sent for nothing.
    TCONV_RETURN_IF_ERROR(FindBase(transaction, key, change, Lock::kNone).status());
    const int64_t weights_id = InsertTensors(transaction, change.weights, chunk_bytes_);
    const int64_t slots_id = InsertTensors(transaction, change.training, chunk_bytes_);
    TCONV_ASSIGN_OR_RETURN(IntactLayer layer, FindBase(transaction, key, change, Lock::kForChange));
    change.ApplyTo(layer.record);
    if (change.weights != nullptr) {
      DeleteTensors(transaction, std::exchange(layer.weights_id, weights_id));
    }
    if (change.training != nullptr) {
      DeleteTensors(transaction, std::exchange(layer.slots_id, slots_id));
      UpdateTraining(transaction, key.id, *change.training);
    }
    TCONV_ASSIGN_OR_RETURN(const int64_t revision, NextRevision(transaction, Change::kWrite));
    UpdateLayer(transaction, layer, revision);
    return OkStatus();
  });
}

StatusOr<Weights> PostgresStore::ReadWeights(const LayerKey& key) {
  return pool_.Read([&](Transaction& transaction) -> StatusOr<Weights> {
    TCONV_ASSIGN_OR_RETURN(const IntactLayer layer, FindIntactLayer(transaction, key, Lock::kNone));
    return server::ReadWeights(transaction, layer);
  });
}

StatusOr<StoredTraining> PostgresStore::ReadTraining(const LayerKey& key) {
  return pool_.Read([&](Transaction& transaction) -> StatusOr<StoredTraining> {
    TCONV_ASSIGN_OR_RETURN(IntactLayer layer, FindIntactLayer(transaction, key, Lock::kNone));
    TCONV_ASSIGN_OR_RETURN(TrainingState state, server::ReadTraining(transaction, layer));
    return StoredTraining{std::move(layer.record), std::move(state)};
  });
}

Status PostgresStore::Delete(const std::string& name) {
  return pool_.Write([&](Transaction& transaction) -> Status {
    TCONV_ASSIGN_OR_RETURN(const PostgresLayer layer,
                           FindEntry(transaction, name, EntryKind::kLayer, Lock::kForChange));
    TCONV_RETURN_IF_ERROR(CheckIsInNoChain(transaction, layer.row));
    DeleteTensors(transaction, layer.weights_id);
    DeleteTensors(transaction, layer.slots_id);
    TCONV_RETURN_IF_ERROR(NextRevision(transaction, Change::kRemoval).status());
    TCONV_RETURN_IF_ERROR(CheckIsInNoChain(transaction, layer.row));
    DeleteEntry(transaction, layer.row.id);
    return OkStatus();
  });
}

StatusOr<int64_t> PostgresStore::CreateChain(const ChainRecord& record) {
  return pool_.Write([&](Transaction& transaction) -> StatusOr<int64_t> {
    // From here on nothing is deleted.
    TCONV_ASSIGN_OR_RETURN(const int64_t revision, NextRevision(transaction, Change::kWrite));
    TCONV_RETURN_IF_ERROR(CheckNameIsFree(transaction, record.name));
    for (const LayerKey& layer : LayersOf(record)) {
      TCONV_RETURN_IF_ERROR(FindIntactLayer(transaction, layer, Lock::kNone).status());
    }
    InsertEntry(transaction, RowOf(record), /*weights_id=*/0, revision);
    return revision;
  });
}

Status PostgresStore::DeleteChain(const std::string& name) {
  return pool_.Write([&](Transaction& transaction) -> Status {
    TCONV_RETURN_IF_ERROR(NextRevision(transaction, Change::kRemoval).status());
    TCONV_ASSIGN_OR_RETURN(const PostgresLayer chain,
                           FindEntry(transaction, name, EntryKind::kChain, Lock::kNone));
    DeleteEntry(transaction, chain.row.id);
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
