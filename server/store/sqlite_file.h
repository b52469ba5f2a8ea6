// The database file of the SQLite store: found or created, recognized, locked
// and brought to the newest schema.
#pragma once

#include <string>

#include "server/base/status.h"
#include "server/store/file_lock.h"
#include "server/store/sqlite_db.h"

namespace tconv::server {

// What a store holds for its life. Members are destroyed from the last to the
// first: the database is closed before another server may have it.
struct SqliteFile {
  std::string path;  // absolute, free of links
  FileLock lock;
  SqliteDb db;
};

// A file that is absent or empty becomes a new database, readable for its owner
// alone. Everything else that is not an intact database of this program is
// refused and left as it is:
// FAILED_PRECONDITION: a folder, no parent folder, not a database, a database of
// another program or of a newer version of this one, open in another server;
// PERMISSION_DENIED: file or folder may not be written;
// DATA_LOSS: the index of the layers is damaged.
//
// Damaged weights are not looked for, since that would take reading all of them:
// every reading of a tensor verifies its digest.
StatusOr<SqliteFile> OpenSqliteFile(const std::string& path);

}  // namespace tconv::server
