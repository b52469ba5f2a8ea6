#include "server/store/sqlite_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iterator>
#include <utility>

#include "server/store/store_errors.h"

namespace tconv::server {
namespace {

namespace fs = std::filesystem;

// "tcnv"; tells our files from those of every other program that uses SQLite.
constexpr int64_t kApplicationId = 0x74636e76;

Status CreateTables(SqliteDb& db) {
  // Finds the pages of a deleted chunk without reading them, and gives them
  // back. Has to come before anything else is written.
  TCONV_RETURN_IF_ERROR(db.Execute("PRAGMA auto_vacuum = INCREMENTAL"));
  TCONV_RETURN_IF_ERROR(db.Execute(R"(
      CREATE TABLE layer (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        config BLOB NOT NULL,              -- serialized tconv.v1.LayerConfig
        in_channels INTEGER NOT NULL,      -- 0: not built
        weights_version INTEGER NOT NULL,  -- 0: not built
        digest BLOB NOT NULL               -- of the other columns, without id
      ) STRICT)"));
  TCONV_RETURN_IF_ERROR(db.Execute(R"(
      CREATE TABLE tensor (
        layer_id INTEGER NOT NULL,
        role TEXT NOT NULL,                -- 'kernel', 'bias'
        dtype TEXT NOT NULL,               -- 'float32', ...
        shape TEXT NOT NULL,               -- '[3, 3, 8, 4]'
        digest BLOB NOT NULL,              -- of dtype, shape and elements
        PRIMARY KEY (layer_id, role)
      ) STRICT, WITHOUT ROWID)"));
  // The elements, row-major and little-endian, in pieces: SQLite limits a blob
  // to 1 GB, and a piece is what has to be in memory a second time.
  TCONV_RETURN_IF_ERROR(db.Execute(R"(
      CREATE TABLE chunk (
        layer_id INTEGER NOT NULL,
        role TEXT NOT NULL,
        position INTEGER NOT NULL,         -- 0, 1, ...
        data BLOB NOT NULL,
        PRIMARY KEY (layer_id, role, position)
      ) STRICT)"));
  return db.Execute(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str());
}

// SQLite gives the greatest id once more after its layer was deleted, unless the
// table says AUTOINCREMENT, which cannot be added to one.
Status NeverUseAnIdAgain(SqliteDb& db) {
  TCONV_RETURN_IF_ERROR(db.Execute(R"(
      CREATE TABLE layer_with_lasting_id (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        config BLOB NOT NULL,              -- serialized tconv.v1.LayerConfig
        in_channels INTEGER NOT NULL,      -- 0: not built
        weights_version INTEGER NOT NULL,  -- 0: not built
        digest BLOB NOT NULL               -- of the other columns, without id
      ) STRICT)"));
  TCONV_RETURN_IF_ERROR(db.Execute(
      "INSERT INTO layer_with_lasting_id (id, name, config, in_channels, weights_version, digest)"
      " SELECT id, name, config, in_channels, weights_version, digest FROM layer ORDER BY id"));
  TCONV_RETURN_IF_ERROR(db.Execute("DROP TABLE layer"));
  return db.Execute("ALTER TABLE layer_with_lasting_id RENAME TO layer");
}

Status KeepTraining(SqliteDb& db) {
  for (const char* column : {
           "settings_version INTEGER NOT NULL DEFAULT 0",  // 0: as created
           "optimizer BLOB NOT NULL DEFAULT x''",          // serialized tconv.v1.KerasObject
           "settings_digest BLOB NOT NULL DEFAULT x''",    // of these two
           "training BLOB NOT NULL DEFAULT x''",           // serialized tconv.store.TrainingRecord
           "training_digest BLOB NOT NULL DEFAULT x''",    // of this one
       }) {
    TCONV_RETURN_IF_ERROR(
        db.Execute(fmt::format("ALTER TABLE layer ADD COLUMN {}", column).c_str()));
  }
  return OkStatus();
}

// The row of a chain has `config` for its steps, as a serialized tconv.store.StoredChain,
// and nothing else.
Status KeepChains(SqliteDb& db) {
  TCONV_RETURN_IF_ERROR(
      db.Execute("ALTER TABLE layer ADD COLUMN kind INTEGER NOT NULL DEFAULT 0"));  // 1: a chain
  return db.Execute("CREATE INDEX chain ON layer (name) WHERE kind = 1");
}

// kMigrations[v] leads from schema version v to v + 1, inside a transaction. A
// released one is never changed.
using Migration = Status (*)(SqliteDb& db);
constexpr Migration kMigrations[] = {CreateTables, NeverUseAnIdAgain, KeepTraining, KeepChains};
constexpr int64_t kNewestVersion = std::size(kMigrations);

Status Refused(const std::string& path, const std::string& reason) {
  return MakeError(StatusCode::kFailedPrecondition, "store: \"{}\" {}", path, reason);
}

// Links would lead two servers to one database by two names.
StatusOr<std::string> ResolvePath(const std::string& path) {
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(fs::absolute(path), error);
  if (error) return FileError(error.value(), "cannot find", path);
  return resolved.string();
}

Status CreateIfAbsent(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    close(descriptor);
    return OkStatus();
  }
  return errno == EEXIST ? OkStatus() : FileError(errno, "cannot create", path);
}

// Looks from outside: opening and closing the file here would drop the locks of
// a store that has it open in this process.
Status CheckFile(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error) return FileError(error.value(), "cannot find", path);
  if (!fs::is_regular_file(status)) return Refused(path, "is not a file");
  if (faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) != 0) {
    return FileError(errno, "cannot read and write", path);
  }
  return OkStatus();
}

Status CheckHeader(SqliteDb& db, const std::string& path) {
  TCONV_ASSIGN_OR_RETURN(const SqliteHeader header, db.ReadHeader());
  if (header.is_empty) return OkStatus();
  if (!header.is_database) return Refused(path, "is not an SQLite database");
  if (header.application_id != kApplicationId) {
    return Refused(path, fmt::format("is the database of another program: expected application "
                                     "id {}, got {}",
                                     kApplicationId, header.application_id));
  }
  return OkStatus();
}

Status CheckVersion(int64_t version, const std::string& path) {
  if (version >= 0 && version <= kNewestVersion) return OkStatus();
  return Refused(path, fmt::format("was written by a newer version of this program: expected "
                                   "schema version {} or older, got {}",
                                   kNewestVersion, version));
}

Status CheckIntegrity(SqliteDb& db, const std::string& path) {
  for (const char* check : {"PRAGMA quick_check(layer)", "PRAGMA quick_check(tensor)"}) {
    TCONV_ASSIGN_OR_RETURN(const std::string verdict, db.QueryText(check));
    if (verdict != "ok") {
      return MakeError(StatusCode::kDataLoss, "store: \"{}\" is damaged: {}", path, verdict);
    }
  }
  return OkStatus();
}

Status Migrate(SqliteDb& db, int64_t version) {
  for (; version < kNewestVersion; ++version) {
    TCONV_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                           SqliteTransaction::Begin(db, SqliteTransaction::Kind::kDeferred));
    TCONV_RETURN_IF_ERROR(kMigrations[version](db));
    TCONV_RETURN_IF_ERROR(db.Execute(fmt::format("PRAGMA user_version = {}", version + 1).c_str()));
    TCONV_RETURN_IF_ERROR(transaction.Commit());
  }
  return db.Execute("PRAGMA incremental_vacuum");  // gives back what the steps freed
}

Status Configure(SqliteDb& db) {
  for (const char* pragma : {
           // Shapes a new database only. Large pages shorten the chains that hold
           // a chunk.
           "PRAGMA page_size = 16384",
           // Every commit waits for the disk.
           "PRAGMA synchronous = FULL",
           // Overwriting deleted weights with zeros would cost as much as
           // writing them.
           "PRAGMA secure_delete = OFF",
           // One transaction may leave a log as large as the weights it wrote.
           "PRAGMA journal_size_limit = 67108864",
       }) {
    TCONV_RETURN_IF_ERROR(db.Execute(pragma));
  }
  return OkStatus();
}

// The log lets readers see the last state while a writer prepares the next one.
// A new database has its tables by now, so that its header, which the log hides,
// tells whose it is.
Status SwitchToWriteAheadLog(SqliteDb& db, const std::string& path) {
  TCONV_ASSIGN_OR_RETURN(const std::string mode, db.QueryText("PRAGMA journal_mode = WAL"));
  if (mode != "wal") return Refused(path, "is on a file system without shared memory");
  return OkStatus();
}

}  // namespace

StatusOr<SqliteFile> OpenSqliteFile(const std::string& given_path) {
  TCONV_ASSIGN_OR_RETURN(const std::string path, ResolvePath(given_path));
  TCONV_RETURN_IF_ERROR(CreateIfAbsent(path));
  TCONV_RETURN_IF_ERROR(CheckFile(path));
  TCONV_ASSIGN_OR_RETURN(SqliteDb db, SqliteDb::Open(path));
  TCONV_RETURN_IF_ERROR(CheckHeader(db, path));
  TCONV_ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(path + "-lock"));

  // Until the file is accepted, closing it must not change it.
  TCONV_RETURN_IF_ERROR(db.SetCheckpointOnClose(false));
  TCONV_RETURN_IF_ERROR(Configure(db));
  TCONV_ASSIGN_OR_RETURN(const int64_t version, db.QueryInt("PRAGMA user_version"));
  TCONV_RETURN_IF_ERROR(CheckVersion(version, path));
  if (version > 0) TCONV_RETURN_IF_ERROR(CheckIntegrity(db, path));
  TCONV_RETURN_IF_ERROR(db.SetCheckpointOnClose(true));

  TCONV_RETURN_IF_ERROR(Migrate(db, version));
  TCONV_RETURN_IF_ERROR(SwitchToWriteAheadLog(db, path));
  return SqliteFile{.path = path, .lock = std::move(lock), .db = std::move(db)};
}

}  // namespace tconv::server
