// The one place that knows which libpqxx this is: Debian 12 brings 6.4, Debian
// 13 brings 7.10.
#pragma once

#include <string>

#include <pqxx/pqxx>

#include "server/store/bytes.h"

namespace tconv::server {

#if PQXX_VERSION_MAJOR >= 7

using PostgresSnapshot =
    pqxx::transaction<pqxx::isolation_level::repeatable_read, pqxx::write_policy::read_only>;

// Bytes as a parameter of a statement; borrowed.
inline pqxx::bytes_view BytesParam(ByteSpan bytes) { return {bytes.data(), bytes.size()}; }

template <typename... Params>
pqxx::result Exec(pqxx::transaction_base& transaction, const std::string& sql,
                  const Params&... params) {
  return transaction.exec(sql, pqxx::params{params...});
}

#else

// One state of the database, seen by all statements.
using PostgresSnapshot = pqxx::transaction<pqxx::repeatable_read, pqxx::read_only>;

// Bytes as a parameter of a statement.
inline pqxx::binarystring BytesParam(ByteSpan bytes) { return {bytes.data(), bytes.size()}; }

// Runs one statement with `params` for $1, $2, ...
template <typename... Params>
pqxx::result Exec(pqxx::transaction_base& transaction, const std::string& sql,
                  const Params&... params) {
  return transaction.exec_params(sql, params...);
}

#endif

}  // namespace tconv::server
