#include "server/store/sqlite_db.h"

#include <sqlite3.h>

#include <cassert>
#include <cstring>

namespace tconv::server {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

// The file format: 16 bytes of magic, the application id big-endian at 68.
constexpr int kHeaderBytes = 100;
constexpr char kMagic[16] = "SQLite format 3";
constexpr size_t kApplicationIdOffset = 68;

StatusCode CodeOf(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_CANTOPEN:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_LOCKED:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
      return StatusCode::kUnavailable;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return StatusCode::kResourceExhausted;
    default:
      return StatusCode::kInternal;
  }
}

int64_t BigEndian32(const unsigned char* bytes) {
  return int64_t{bytes[0]} << 24 | int64_t{bytes[1]} << 16 | int64_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

void SqliteDb::Close::operator()(sqlite3* db) const { sqlite3_close(db); }

Status SqliteDb::ErrorOf(int code) const {
  const int system_error = db_ == nullptr ? 0 : sqlite3_system_errno(db_.get());
  // The connection's own text is about its last call; that may be another one.
  const bool is_last = db_ != nullptr && sqlite3_extended_errcode(db_.get()) == code;
  const char* text = is_last ? sqlite3_errmsg(db_.get()) : sqlite3_errstr(code);
  return MakeError(CodeOf(code), "store \"{}\": {} (SQLite error {}{})", path_, text, code,
                   system_error == 0 ? "" : fmt::format(", {}", std::strerror(system_error)));
}

StatusOr<SqliteDb> SqliteDb::Open(const std::string& path) {
  SqliteDb db(path);
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  // There is a handle, which holds the error, even when opening failed.
  db.db_.reset(handle);
  if (code != SQLITE_OK) return db.ErrorOf(code);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  return db;
}

StatusOr<SqliteHeader> SqliteDb::ReadHeader() {
  // Through SQLite's own descriptor: closing another one would drop every lock
  // that this process holds on the file.
  sqlite3_file* file = nullptr;
  int code = sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code != SQLITE_OK) return ErrorOf(code);
  sqlite3_int64 size = 0;
  code = file->pMethods->xFileSize(file, &size);
  if (code != SQLITE_OK) return ErrorOf(code);
  unsigned char bytes[kHeaderBytes] = {};
  code = file->pMethods->xRead(file, bytes, kHeaderBytes, 0);
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) return ErrorOf(code);
  return SqliteHeader{.is_empty = size == 0,
                      .is_database = std::memcmp(bytes, kMagic, sizeof(kMagic)) == 0,
                      .application_id = BigEndian32(bytes + kApplicationIdOffset)};
}

Status SqliteDb::SetCheckpointOnClose(bool checkpoint) {
  const int code =
      sqlite3_db_config(db_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, checkpoint ? 0 : 1, nullptr);
  return code == SQLITE_OK ? OkStatus() : ErrorOf(code);
}

StatusOr<int64_t> SqliteDb::QueryInt(const char* sql) {
  SqliteStatement query(*this, sql);
  TCONV_ASSIGN_OR_RETURN(const bool found, query.Step());
  assert(found);
  return found ? query.Int(0) : 0;
}

StatusOr<std::string> SqliteDb::QueryText(const char* sql) {
  SqliteStatement query(*this, sql);
  TCONV_ASSIGN_OR_RETURN(const bool found, query.Step());
  assert(found);
  return std::string(found ? query.Text(0) : std::string_view());
}

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteStatement::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  error_ = sqlite3_prepare_v2(db_.db_.get(), sql, -1, &statement, nullptr);
  statement_.reset(statement);
}

void SqliteStatement::Bind(int position, int64_t value) {
  if (error_ != SQLITE_OK) return;
  error_ = sqlite3_bind_int64(statement_.get(), position, value);
}

void SqliteStatement::Bind(int position, std::string_view text) {
  if (error_ != SQLITE_OK) return;
  // A null pointer would bind NULL.
  error_ = sqlite3_bind_text64(statement_.get(), position, text.empty() ? "" : text.data(),
                               text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void SqliteStatement::Bind(int position, ByteSpan blob) {
  if (error_ != SQLITE_OK) return;
  error_ = blob.empty() ? sqlite3_bind_zeroblob(statement_.get(), position, 0)
                        : sqlite3_bind_blob64(statement_.get(), position, blob.data(), blob.size(),
                                              SQLITE_STATIC);
}

StatusOr<bool> SqliteStatement::Step() {
  if (error_ == SQLITE_OK) error_ = sqlite3_step(statement_.get());
  const int code = std::exchange(error_, SQLITE_OK);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return db_.ErrorOf(code);
}

Status SqliteStatement::Run() {
  while (true) {
    TCONV_ASSIGN_OR_RETURN(const bool more, Step());
    if (!more) return OkStatus();
  }
}

int64_t SqliteStatement::Int(int column) { return sqlite3_column_int64(statement_.get(), column); }

std::string_view SqliteStatement::Text(int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

ByteSpan SqliteStatement::Blob(int column) {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

StatusOr<SqliteTransaction> SqliteTransaction::Begin(SqliteDb& db, Kind kind) {
  TCONV_RETURN_IF_ERROR(db.Execute(kind == Kind::kImmediate ? "BEGIN IMMEDIATE" : "BEGIN"));
  return SqliteTransaction(db);
}

Status SqliteTransaction::Commit() {
  TCONV_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  db_.release();
  return OkStatus();
}

void SqliteTransaction::RollBack::operator()(SqliteDb* db) const {
  // An error has often rolled back already. Rolling back needs no I/O that
  // could fail: what was not committed is not read again.
  if (sqlite3_get_autocommit(db->db_.get()) == 0) db->Execute("ROLLBACK").IgnoreError();
}

}  // namespace tconv::server
