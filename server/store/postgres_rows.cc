#include "server/store/postgres_rows.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "server/store/chain_row.h"
#include "server/store/postgres_schema.h"
#include "server/store/store_errors.h"
#include "server/store/tensor_row.h"
#include "server/store/training_row.h"

namespace tconv::server {
namespace {

using Transaction = pqxx::transaction_base;

constexpr char kSelectLayer[] =
    "SELECT id, name, config, in_channels, weights_version, settings_version, optimizer, kind,"
    " digest, settings_digest, weights_id, slots_id FROM tconv.layer ";

// A bytea as PostgreSQL writes it in text: \x, then two digits for a byte.
std::string ReadBytes(const pqxx::field& field) {
  constexpr size_t kPrefix = 2;
  const std::string_view text(field.c_str(), field.size());
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = kPrefix; i + 1 < text.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

PostgresLayer ReadLayer(const pqxx::row& row) {
  const std::string digest = ReadBytes(row[8]);
  const std::string settings_digest = ReadBytes(row[9]);
  return {.row = Verified({.id = row[0].as<int64_t>(),
                           .name = ReadBytes(row[1]),
                           .config = ReadBytes(row[2]),
                           .in_channels = row[3].as<int64_t>(),
                           .weights_version = row[4].as<int64_t>(),
                           .settings_version = row[5].as<int64_t>(),
                           .optimizer = ReadBytes(row[6]),
                           .kind = static_cast<EntryKind>(row[7].as<int64_t>())},
                          BytesOf(digest), BytesOf(settings_digest)),
          .weights_id = row[10].as<int64_t>(),
          .slots_id = row[11].as<int64_t>()};
}

std::string Locking(Lock lock) { return lock == Lock::kForChange ? " FOR UPDATE" : ""; }

void InsertTensor(Transaction& transaction, int64_t weights_id, const std::string& role,
                  ConstTensorView tensor, int64_t chunk_bytes) {
  Exec(transaction,
       "INSERT INTO tconv.tensor (weights_id, role, dtype, shape, digest)"
       " VALUES ($1, $2, $3, $4, $5)",
       weights_id, role, std::string(NameOf(tensor.dtype)), ToString(tensor.shape),
       BytesParam(DigestOf(tensor)));
  ByteSpan rest = BytesOf(tensor);
  for (int64_t position = 0; !rest.empty(); ++position) {
    const ByteSpan chunk = rest.first(std::min(rest.size(), static_cast<size_t>(chunk_bytes)));
    Exec(transaction,
         "INSERT INTO tconv.chunk (weights_id, role, position, data) VALUES ($1, $2, $3, $4)",
         weights_id, role, position, BytesParam(chunk));
    rest = rest.subspan(chunk.size());
  }
}

StatusOr<TensorRow> ReadTensorRow(Transaction& transaction, int64_t weights_id,
                                  const std::string& role) {
  const pqxx::result result =
      Exec(transaction,
           "SELECT dtype, shape, digest FROM tconv.tensor WHERE weights_id = $1 AND role = $2",
           weights_id, role);
  if (result.empty()) return DamagedTensor(role, "missing");
  const std::string digest = ReadBytes(result[0][2]);
  return ParseTensorRow(role, result[0][0].as<std::string>(), result[0][1].as<std::string>(),
                        BytesOf(digest));
}

// PostgreSQL knows the lengths without reading the chunks.
int64_t StoredBytes(Transaction& transaction, int64_t weights_id, const std::string& role) {
  return Exec(transaction,
              "SELECT coalesce(sum(octet_length(data)), 0)::bigint FROM tconv.chunk"
              " WHERE weights_id = $1 AND role = $2",
              weights_id, role)[0][0]
      .as<int64_t>();
}

// A binary cursor brings the bytes as they are, one chunk at a time; a common
// statement would write them in text, all at once.
// REQUIRES: the chunks together have the size of `tensor`.
void ReadElements(Transaction& transaction, int64_t weights_id, const std::string& role,
                  TensorView tensor) {
  Exec(transaction,
       "DECLARE elements BINARY NO SCROLL CURSOR FOR SELECT data FROM tconv.chunk"
       " WHERE weights_id = $1 AND role = $2 ORDER BY position",
       weights_id, role);
  std::byte* out = tensor.data;
  while (true) {
    const pqxx::result chunk = transaction.exec("FETCH elements");
    if (chunk.empty()) break;
    const pqxx::field data = chunk[0][0];
    out = std::ranges::copy(BytesOf(std::string_view(data.c_str(), data.size())), out).out;
  }
  transaction.exec("CLOSE elements");
}

StatusOr<Tensor> ReadTensor(Transaction& transaction, int64_t weights_id, const std::string& role) {
  TCONV_ASSIGN_OR_RETURN(const TensorRow row, ReadTensorRow(transaction, weights_id, role));
  TCONV_ASSIGN_OR_RETURN(Tensor tensor,
                         AllocateTensor(role, row, StoredBytes(transaction, weights_id, role)));
  ReadElements(transaction, weights_id, role, tensor.mutable_view());
  TCONV_RETURN_IF_ERROR(VerifyTensor(role, row, tensor.view()));
  return tensor;
}

// `tensors` are Weights or a TrainingState.
template <typename Tensors>
int64_t InsertEachTensor(Transaction& transaction, const Tensors& tensors, int64_t chunk_bytes) {
  const auto id = transaction.exec("SELECT nextval('tconv.weights_id')")[0][0].as<int64_t>();
  (void)ForEachTensor(tensors, [&](std::string_view role, ConstTensorView tensor) {
    InsertTensor(transaction, id, std::string(role), tensor, chunk_bytes);
    return OkStatus();
  });
  return id;
}

}  // namespace

PostgresCatalog ReadCatalog(Transaction& transaction) {
  const pqxx::row row = transaction.exec("SELECT revision, removal_revision FROM tconv.catalog")[0];
  return {.revision = row[0].as<int64_t>(), .removal_revision = row[1].as<int64_t>()};
}

StatusOr<int64_t> NextRevision(Transaction& transaction, Change change) {
  const std::string removal = change == Change::kRemoval ? ", removal_revision = revision + 1" : "";
  const pqxx::result result = Exec(transaction,
                                   "UPDATE tconv.catalog SET revision = revision + 1" + removal +
                                       " WHERE schema_version = $1 RETURNING revision",
                                   NewestPostgresSchema());
  if (result.empty()) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "store: a newer version of this program has changed the schema of the "
                     "database");
  }
  transaction.exec(std::string("NOTIFY ") + kPostgresChannel);
  return result[0][0].as<int64_t>();
}

LayerIndex ReadLayersSince(Transaction& transaction, int64_t revision) {
  LayerIndex index;
  for (const pqxx::row& row :
       Exec(transaction, std::string(kSelectLayer) + "WHERE revision > $1 ORDER BY name",
            revision)) {
    AddTo(index, ReadLayer(row).row);
  }
  return index;
}

Status CheckNameIsFree(Transaction& transaction, const std::string& name) {
  const pqxx::result found = Exec(transaction, std::string(kSelectLayer) + "WHERE name = $1",
                                  BytesParam(BytesOf(std::string_view(name))));
  return found.empty() ? OkStatus() : NameIsTaken(ReadLayer(found[0]).row);
}

StatusOr<PostgresLayer> FindEntry(Transaction& transaction, const std::string& name, EntryKind kind,
                                  Lock lock) {
  const pqxx::result found =
      Exec(transaction, kSelectLayer + ("WHERE name = $1 AND kind = $2" + Locking(lock)),
           BytesParam(BytesOf(std::string_view(name))), static_cast<int64_t>(kind));
  if (!found.empty()) return ReadLayer(found[0]);
  return kind == EntryKind::kChain ? ChainNotFound(name) : LayerNotFound(name);
}

Status CheckIsInNoChain(Transaction& transaction, const LayerRow& layer) {
  for (const pqxx::row& row :
       transaction.exec(std::string(kSelectLayer) + "WHERE kind = 1 ORDER BY name")) {
    TCONV_RETURN_IF_ERROR(CheckIsWithout(ReadLayer(row).row, layer));
  }
  return OkStatus();
}

void InsertEntry(Transaction& transaction, const LayerRow& row, int64_t weights_id,
                 int64_t revision) {
  Exec(transaction,
       "INSERT INTO tconv.layer (id, name, config, in_channels, weights_version,"
       " settings_version, optimizer, kind, digest, settings_digest, weights_id, revision)"
       " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $1)",
       revision, BytesParam(BytesOf(std::string_view(row.name))),
       BytesParam(BytesOf(std::string_view(row.config))), row.in_channels, row.weights_version,
       row.settings_version, BytesParam(BytesOf(std::string_view(row.optimizer))),
       static_cast<int64_t>(row.kind), BytesParam(DigestOf(row)), BytesParam(DigestOfSettings(row)),
       weights_id);
}

void DeleteEntry(Transaction& transaction, int64_t id) {
  Exec(transaction, "DELETE FROM tconv.layer WHERE id = $1", id);
}

StatusOr<IntactLayer> FindIntactLayer(Transaction& transaction, const LayerKey& layer, Lock lock) {
  const pqxx::result rows =
      Exec(transaction, kSelectLayer + ("WHERE id = $1" + Locking(lock)), layer.id);
  if (rows.empty()) return LayerNotFound(layer.name);
  const PostgresLayer found = ReadLayer(rows[0]);
  TCONV_ASSIGN_OR_RETURN(LayerRecord record, RecordOf(found.row));
  return IntactLayer{std::move(record), found.weights_id, found.slots_id};
}

int64_t InsertTensors(Transaction& transaction, const Weights* weights, int64_t chunk_bytes) {
  return weights == nullptr ? 0 : InsertEachTensor(transaction, *weights, chunk_bytes);
}

int64_t InsertTensors(Transaction& transaction, const TrainingState* state, int64_t chunk_bytes) {
  const bool has_tensors = state != nullptr && !state->optimizer.slots.empty();
  return has_tensors ? InsertEachTensor(transaction, *state, chunk_bytes) : 0;
}

void DeleteTensors(Transaction& transaction, int64_t id) {
  Exec(transaction, "DELETE FROM tconv.chunk WHERE weights_id = $1", id);
  Exec(transaction, "DELETE FROM tconv.tensor WHERE weights_id = $1", id);
}

void UpdateLayer(Transaction& transaction, const IntactLayer& layer, int64_t revision) {
  const LayerRow row = RowOf(layer.record);
  Exec(transaction,
       "UPDATE tconv.layer SET config = $2, in_channels = $3, weights_version = $4,"
       " settings_version = $5, optimizer = $6, digest = $7, settings_digest = $8,"
       " weights_id = $9, slots_id = $10, revision = $11 WHERE id = $1",
       row.id, BytesParam(BytesOf(std::string_view(row.config))), row.in_channels,
       row.weights_version, row.settings_version,
       BytesParam(BytesOf(std::string_view(row.optimizer))), BytesParam(DigestOf(row)),
       BytesParam(DigestOfSettings(row)), layer.weights_id, layer.slots_id, revision);
}

void UpdateTraining(Transaction& transaction, int64_t layer_id, const TrainingState& state) {
  const std::string column = TrainingColumnOf(state);
  Exec(transaction, "UPDATE tconv.layer SET training = $2, training_digest = $3 WHERE id = $1",
       layer_id, BytesParam(BytesOf(std::string_view(column))),
       BytesParam(DigestOfTraining(column)));
}

StatusOr<Weights> ReadWeights(Transaction& transaction, const IntactLayer& layer) {
  return AssembleWeights(layer.record, [&](std::string_view role) {
    return ReadTensor(transaction, layer.weights_id, std::string(role));
  });
}

StatusOr<TrainingState> ReadTraining(Transaction& transaction, const IntactLayer& layer) {
  const pqxx::result result =
      Exec(transaction, "SELECT training, training_digest FROM tconv.layer WHERE id = $1",
           layer.record.id);
  const std::string column = ReadBytes(result[0][0]);
  const std::string digest = ReadBytes(result[0][1]);
  return AssembleTraining(layer.record, column, BytesOf(digest), [&](std::string_view role) {
    return ReadTensor(transaction, layer.slots_id, std::string(role));
  });
}

}  // namespace tconv::server
