// The rows of the PostgreSQL store. To be called inside a transaction, whose
// exceptions pass through.
#pragma once

#include <cstdint>
#include <string>

#include "server/base/status.h"
#include "server/layer/weights.h"
#include "server/store/layer_row.h"
#include "server/store/layer_store.h"
#include "server/store/pqxx_compat.h"

namespace tconv::server {

// The revisions of the store.
struct PostgresCatalog {
  int64_t revision = 0;
  int64_t removal_revision = 0;
};

struct PostgresLayer {
  LayerRow row;
  int64_t weights_id = 0;  // 0: not built
};

// What comes after others in a change of the store.
enum class Change { kWrite, kRemoval };

PostgresCatalog ReadCatalog(pqxx::transaction_base& transaction);

// The revision of a change, unique to it, and a message to all that listen on
// kPostgresChannel once it is committed. Other changes wait from here to the
// commit, so that revisions become visible in their order; to be called when all
// that takes long is done, and all locks of rows are held. FAILED_PRECONDITION: a
// newer version of this program has changed the schema.
StatusOr<int64_t> NextRevision(pqxx::transaction_base& transaction, Change change);

// Layers that were changed after `revision`, in the order of their names.
LayerIndex ReadLayersSince(pqxx::transaction_base& transaction, int64_t revision);

// Waits, with kForChange, for changes of the layer that are under way and keeps
// others from starting. NOT_FOUND.
enum class Lock { kNone, kForChange };
StatusOr<PostgresLayer> FindLayer(pqxx::transaction_base& transaction, const std::string& name,
                                  Lock lock);
StatusOr<PostgresLayer> FindLayer(pqxx::transaction_base& transaction, const LayerKey& layer,
                                  Lock lock);

// The id of the weights, written in chunks of `chunk_bytes`.
int64_t InsertWeights(pqxx::transaction_base& transaction, const Weights& weights,
                      int64_t chunk_bytes);
// DATA_LOSS when a tensor is missing or not what was written; NOT_FOUND when the
// layer is not built.
StatusOr<Weights> ReadWeights(pqxx::transaction_base& transaction, const LayerRecord& record,
                              int64_t weights_id);
void DeleteWeights(pqxx::transaction_base& transaction, int64_t weights_id);

inline constexpr char kPostgresChannel[] = "tconv_changed";

}  // namespace tconv::server
