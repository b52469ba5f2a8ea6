// Where a PostgreSQL database is, and how to call it where people can read it.
#pragma once

#include <string>

#include "server/base/status.h"

namespace tconv::server {

struct PostgresAddress {
  // What libpq connects with. May hold a password: never to be shown.
  std::string connection_string;
  // User, host, port and database as they were given, and nothing else.
  std::string name;
};

// From a URI of libpq, postgres://[user@][host][:port]/[database][?name=value&...].
// What it leaves out comes from libpq's environment and files (PGHOST, PGUSER,
// PGPASSWORD, PGPASSFILE, a service, ...), except the limits of time for a
// connection that is being made or no longer answers, which have shorter
// defaults than libpq's.
//
// INVALID_ARGUMENT about `store`, without showing the address.
StatusOr<PostgresAddress> ParsePostgresAddress(const std::string& uri);

}  // namespace tconv::server
