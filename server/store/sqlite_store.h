// Layers in one SQLite database.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/base/status.h"
#include "server/store/layer_store.h"

namespace tconv::server {

struct SqliteStoreOptions {
  // Weights are written and read in pieces of this size. Any store reads the
  // pieces of any other. > 0, and less than 1 GB, where SQLite's blobs end.
  int64_t chunk_bytes = int64_t{16} << 20;
};

// Opens or creates the database at `path`; errors are those of OpenSqliteFile().
// Files beside it belong to it: `path`-wal and `path`-shm while it is open, and
// `path`-lock, which keeps a second server out. Tools of SQLite may read, and
// back up, the database while it is open; they must not write to it.
//
// Changes go through one connection, one after the other. Every reading has a
// connection of its own and sees one state, so neither waits for the other.
// What Delete() frees goes back to the file system; that costs about as much as
// writing the layer did.
StatusOr<std::unique_ptr<LayerStore>> OpenSqliteStore(const std::string& path,
                                                      const SqliteStoreOptions& options = {});

}  // namespace tconv::server
