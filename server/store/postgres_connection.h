// Connections to PostgreSQL, and its exceptions as the errors of a store.
#pragma once

#include <memory>
#include <utility>

#include "server/base/status.h"
#include "server/store/postgres_address.h"
#include "server/store/pqxx_compat.h"

namespace tconv::server {

// What the exception that is being handled means, which names the database:
// UNAVAILABLE: no connection, no space, a lock or a statement takes too long.
// DATA_LOSS: PostgreSQL found its files damaged. FAILED_PRECONDITION: the
// database lacks what the store needs, or does not grant it. RESOURCE_EXHAUSTED:
// no memory here.
//
// REQUIRES: to be called in a catch block.
Status PostgresError(const PostgresAddress& address);

// The result of `use()`, a Status or StatusOr, or what its exception means.
template <typename Use>
auto CatchingPostgresErrors(const PostgresAddress& address, Use use) -> decltype(use()) {
  try {
    return use();
  } catch (...) {
    return PostgresError(address);
  }
}

// A connection with the limits of time that keep one server from holding up the
// others. Errors as PostgresError().
StatusOr<std::unique_ptr<pqxx::connection>> ConnectToPostgres(const PostgresAddress& address);

// Lets whoever waits for an answer on this socket meet a broken connection instead.
// Thread-safe as long as the socket is open.
void BreakConnection(int socket);

}  // namespace tconv::server
