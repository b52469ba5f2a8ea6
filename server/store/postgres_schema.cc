#include "server/store/postgres_schema.h"

#include <iterator>

namespace tconv::server {
namespace {

// kMigrations[v] leads from schema version v to v + 1. A released one is never
// changed.
constexpr const char* kMigrations[] = {
    // Names are bytes, so that neither their order nor what they may hold depends
    // on the locale of the database. Weights have an id of their own: new ones are
    // written beside the old ones before any lock is taken.
    R"(
    CREATE TABLE tconv.catalog (
      only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
      schema_version bigint NOT NULL,
      revision bigint NOT NULL,           -- of the last change
      removal_revision bigint NOT NULL    -- of the last deletion
    );
    INSERT INTO tconv.catalog (schema_version, revision, removal_revision) VALUES (0, 0, 0);

    CREATE TABLE tconv.layer (
      id bigint PRIMARY KEY,              -- the revision that created it
      name bytea NOT NULL UNIQUE,         -- UTF-8
      config bytea NOT NULL,              -- serialized tconv.v1.LayerConfig
      in_channels bigint NOT NULL,        -- 0: not built
      weights_version bigint NOT NULL,    -- 0: not built
      digest bytea NOT NULL,              -- of the columns from name to weights_version
      weights_id bigint NOT NULL,         -- 0: not built
      revision bigint NOT NULL            -- of its last change
    );
    CREATE INDEX layer_revision ON tconv.layer (revision);

    CREATE SEQUENCE tconv.weights_id;
    CREATE TABLE tconv.tensor (
      weights_id bigint NOT NULL,
      role text NOT NULL,                 -- 'kernel', 'bias'
      dtype text NOT NULL,                -- 'float32', ...
      shape text NOT NULL,                -- '[3, 3, 8, 4]'
      digest bytea NOT NULL,              -- of dtype, shape and elements
      PRIMARY KEY (weights_id, role)
    );
    CREATE TABLE tconv.chunk (            -- elements, row-major and little-endian
      weights_id bigint NOT NULL,
      role text NOT NULL,
      position bigint NOT NULL,           -- 0, 1, ...
      data bytea NOT NULL,
      PRIMARY KEY (weights_id, role, position)
    );
    -- Trying to compress weights costs time and gains nothing.
    ALTER TABLE tconv.chunk ALTER COLUMN data SET STORAGE EXTERNAL;
    )",
    // What an optimizer remembers lies among the tensors under an id of its own: it
    // stays when weights are replaced.
    R"(
    ALTER TABLE tconv.layer
      ADD COLUMN settings_version bigint NOT NULL DEFAULT 0,  -- 0: as created
      ADD COLUMN optimizer bytea NOT NULL DEFAULT '',         -- serialized tconv.v1.KerasObject
      ADD COLUMN settings_digest bytea NOT NULL DEFAULT '',   -- of these two
      ADD COLUMN training bytea NOT NULL DEFAULT '',  -- serialized tconv.store.TrainingRecord
      ADD COLUMN training_digest bytea NOT NULL DEFAULT '',   -- of this one
      ADD COLUMN slots_id bigint NOT NULL DEFAULT 0;          -- 0: none
    )",
    // The row of a chain has `config` for its steps, as a serialized
    // tconv.store.StoredChain, and nothing else.
    R"(
    ALTER TABLE tconv.layer ADD COLUMN kind bigint NOT NULL DEFAULT 0;  -- 1: a chain
    CREATE INDEX chain ON tconv.layer (name) WHERE kind = 1;
    )"};
constexpr int64_t kNewestVersion = std::size(kMigrations);

// "tcnv"; servers that look at the schema hold this lock.
constexpr char kLock[] = "SELECT pg_advisory_xact_lock(1952673398)";

bool Holds(pqxx::transaction_base& transaction, const std::string& condition) {
  return transaction.exec("SELECT " + condition)[0][0].as<bool>();
}

// An administrator may have made the schema for a user who must not make any.
void CreateSchema(pqxx::transaction_base& transaction) {
  if (!Holds(transaction, "to_regnamespace('tconv') IS NOT NULL")) {
    transaction.exec("CREATE SCHEMA tconv");
  }
}

int64_t VersionOf(pqxx::transaction_base& transaction) {
  if (!Holds(transaction, "to_regclass('tconv.catalog') IS NOT NULL")) return 0;
  return transaction.exec("SELECT schema_version FROM tconv.catalog")[0][0].as<int64_t>();
}

}  // namespace

int64_t NewestPostgresSchema() { return kNewestVersion; }

Status PreparePostgresSchema(pqxx::transaction_base& transaction) {
  transaction.exec(kLock);
  CreateSchema(transaction);
  int64_t version = VersionOf(transaction);
  if (version < 0 || version > kNewestVersion) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "store: the database was written by a newer version of this program: "
                     "expected schema version {} or older, got {}",
                     kNewestVersion, version);
  }
  for (; version < kNewestVersion; ++version) {
    transaction.exec(kMigrations[version]);
    Exec(transaction, "UPDATE tconv.catalog SET schema_version = $1", version + 1);
  }
  return OkStatus();
}

}  // namespace tconv::server
