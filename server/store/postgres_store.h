// Layers in a PostgreSQL database that several servers share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "server/base/status.h"
#include "server/store/layer_store.h"

namespace tconv::server {

struct PostgresStoreOptions {
  // Weights are written and read in pieces of this size. Any store reads the
  // pieces of any other. > 0, and less than 1 GB, where a bytea ends.
  int64_t chunk_bytes = int64_t{4} << 20;
  // At most, besides one for each feed; made when they are needed.
  size_t max_connections = 8;
  // After which PostgreSQL counts as away when it does not answer a feed.
  std::chrono::milliseconds answer_limit = std::chrono::seconds(10);
};

// Opens the database at `uri` (see ParsePostgresAddress()), where the schema
// `tconv` is created, or upgraded when an older version of this program made it.
// INVALID_ARGUMENT: not a URI. FAILED_PRECONDITION: a newer version made the
// schema, or the user may not create it. UNAVAILABLE: no connection.
//
// Needs PostgreSQL 13 or newer, the primary: a standby refuses changes. Each
// connection must keep its session, so a pooler in between must not share it by
// transactions.
StatusOr<std::unique_ptr<LayerStore>> OpenPostgresStore(const std::string& uri,
                                                        const PostgresStoreOptions& options = {});

}  // namespace tconv::server
