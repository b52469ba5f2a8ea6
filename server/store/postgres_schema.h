// The tables of the PostgreSQL store, all in the schema `tconv`.
#pragma once

#include <cstdint>

#include "server/base/status.h"
#include "server/store/pqxx_compat.h"

namespace tconv::server {

// The version that this program reads and writes.
int64_t NewestPostgresSchema();

// Creates the tables or brings them to the newest schema. Servers that start at
// the same time do so one after the other. FAILED_PRECONDITION: they were made
// by a newer version of this program, or are somebody else's.
Status PreparePostgresSchema(pqxx::transaction_base& transaction);

}  // namespace tconv::server
