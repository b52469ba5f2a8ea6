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
#include "server/store/training_state.h"

namespace tconv::server {

// The revisions of the store.
struct PostgresCatalog {
  int64_t revision = 0;
  int64_t removal_revision = 0;
};

// A layer or a chain, intact or not, and where its tensors are.
struct PostgresLayer {
  LayerRow row;
  int64_t weights_id = 0;  // 0: not built
  int64_t slots_id = 0;    // 0: its optimizer remembers nothing
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

// What was changed after `revision`, in the order of the names.
LayerIndex ReadLayersSince(pqxx::transaction_base& transaction, int64_t revision);

// Final once the transaction has its revision; before that it saves work. ALREADY_EXISTS.
Status CheckNameIsFree(pqxx::transaction_base& transaction, const std::string& name);
// Likewise. FAILED_PRECONDITION: a chain has the layer.
Status CheckIsInNoChain(pqxx::transaction_base& transaction, const LayerRow& layer);

// Waits, with kForChange, for changes of the layer that are under way and keeps
// others from starting. NOT_FOUND.
enum class Lock { kNone, kForChange };
StatusOr<PostgresLayer> FindEntry(pqxx::transaction_base& transaction, const std::string& name,
                                  EntryKind kind, Lock lock);

// Its id is its revision. REQUIRES: the name is free.
void InsertEntry(pqxx::transaction_base& transaction, const LayerRow& row, int64_t weights_id,
                 int64_t revision);
void DeleteEntry(pqxx::transaction_base& transaction, int64_t id);

// An intact layer. A new digest would declare damage of its description valid.
struct IntactLayer {
  LayerRecord record;
  int64_t weights_id = 0;
  int64_t slots_id = 0;
};
// DATA_LOSS; else as above.
StatusOr<IntactLayer> FindIntactLayer(pqxx::transaction_base& transaction, const LayerKey& layer,
                                      Lock lock);

// Writes the tensors, in chunks of `chunk_bytes`, beside all others and without a lock
// of rows. Returns their id; 0 for null, and when there are none.
int64_t InsertTensors(pqxx::transaction_base& transaction, const Weights* weights,
                      int64_t chunk_bytes);
int64_t InsertTensors(pqxx::transaction_base& transaction, const TrainingState* state,
                      int64_t chunk_bytes);
void DeleteTensors(pqxx::transaction_base& transaction, int64_t id);

// Makes `layer` the description, as of `revision`.
void UpdateLayer(pqxx::transaction_base& transaction, const IntactLayer& layer, int64_t revision);
// The tensors apart.
void UpdateTraining(pqxx::transaction_base& transaction, int64_t layer_id,
                    const TrainingState& state);

// DATA_LOSS when a tensor is missing or not what was written; NOT_FOUND when the
// layer is not built.
StatusOr<Weights> ReadWeights(pqxx::transaction_base& transaction, const IntactLayer& layer);
// DATA_LOSS likewise.
StatusOr<TrainingState> ReadTraining(pqxx::transaction_base& transaction, const IntactLayer& layer);

inline constexpr char kPostgresChannel[] = "tconv_changed";

}  // namespace tconv::server
