// SQLite behind RAII and absl::Status: a connection, a statement, a transaction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/base/status.h"
#include "server/store/bytes.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tconv::server {

// The beginning of a database file, as it lies on the disk: what a journal
// beside it still holds is not seen.
struct SqliteHeader {
  bool is_empty = false;     // a file of 0 bytes
  bool is_database = false;  // begins like every SQLite database
  int64_t application_id = 0;
};

// One connection to an existing database file. Movable; not thread-safe: one
// thread at a time.
//
// Errors name the file. DATA_LOSS: the database is corrupted. UNAVAILABLE: it
// cannot be read or written now. RESOURCE_EXHAUSTED: no memory.
class SqliteDb {
 public:
  // Opens `path`, for reading and writing, without looking into it. Waits up
  // to some seconds for locks of other connections.
  static StatusOr<SqliteDb> Open(const std::string& path);

  // Takes no lock and changes nothing, whatever the file is.
  StatusOr<SqliteHeader> ReadHeader();

  // Whether closing the last connection moves the write-ahead log into the
  // database and removes it, as it does unless told otherwise.
  Status SetCheckpointOnClose(bool checkpoint);

  // Runs one statement with `values` for its "?", ignoring the rows of its
  // result.
  template <typename... Values>
  Status Execute(const char* sql, const Values&... values);

  // The first column of the first row. REQUIRES: there is one.
  StatusOr<int64_t> QueryInt(const char* sql);
  StatusOr<std::string> QueryText(const char* sql);

 private:
  friend class SqliteStatement;
  friend class SqliteTransaction;

  struct Close {
    void operator()(sqlite3* db) const;
  };

  explicit SqliteDb(std::string path) : path_(std::move(path)) {}
  Status ErrorOf(int code) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

// A statement with the values for its "?" in order: integers, texts and blobs.
// Blobs are borrowed until the statement is destroyed, so that megabytes are
// not copied. Must not outlive its connection.
class SqliteStatement {
 public:
  // An error in here is reported by the first Step().
  template <typename... Values>
  SqliteStatement(SqliteDb& db, const char* sql, const Values&... values) : db_(db) {
    Prepare(sql);
    int position = 0;
    (Bind(++position, values), ...);
  }
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  // Whether there is another row.
  StatusOr<bool> Step();
  // Steps past the last row.
  Status Run();

  // Columns of the current row, counted from 0; views live until the next Step().
  int64_t Int(int column);
  std::string_view Text(int column);
  ByteSpan Blob(int column);

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  void Prepare(const char* sql);
  void Bind(int position, int64_t value);
  void Bind(int position, std::string_view text);
  void Bind(int position, ByteSpan blob);

  SqliteDb& db_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int error_ = 0;  // SQLITE_OK
};

// Rolls back when it goes out of scope without a successful Commit().
class SqliteTransaction {
 public:
  // Deferred: sees one state of the database from the first reading on, excludes
  // other writers from the first change on. Immediate: both from the start.
  enum class Kind { kDeferred, kImmediate };

  static StatusOr<SqliteTransaction> Begin(SqliteDb& db, Kind kind);
  SqliteTransaction(SqliteTransaction&&) = default;
  SqliteTransaction& operator=(SqliteTransaction&&) = default;

  // Durable when it returns OK.
  Status Commit();

 private:
  struct RollBack {
    void operator()(SqliteDb* db) const;
  };

  explicit SqliteTransaction(SqliteDb& db) : db_(&db) {}

  std::unique_ptr<SqliteDb, RollBack> db_;
};

template <typename... Values>
Status SqliteDb::Execute(const char* sql, const Values&... values) {
  return SqliteStatement(*this, sql, values...).Run();
}

}  // namespace tconv::server
