#include "server/store/postgres_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <new>
#include <string>
#include <string_view>

namespace tconv::server {
namespace {

// A server that hangs in the middle of a change holds its locks no longer than
// idle_in_transaction_session_timeout; others wait a little longer for them.
constexpr char kSettings[] = R"(
    SET bytea_output = 'hex';
    SET client_min_messages = 'error';
    SET default_transaction_isolation = 'read committed';
    SET idle_in_transaction_session_timeout = '10s';
    SET lock_timeout = '15s';
    SET statement_timeout = '60s';
    SET synchronous_commit = 'on')";

struct CodeOfState {
  std::string_view prefix;
  StatusCode code;
};

// SQLSTATE, by class or in full. PostgreSQL: Appendix A, Error Codes.
constexpr CodeOfState kCodes[] = {
    {"08", StatusCode::kUnavailable},         // connection exception
    {"25006", StatusCode::kUnavailable},      // read-only: a standby, or no space to write
    {"25P03", StatusCode::kUnavailable},      // idle in transaction for too long
    {"28", StatusCode::kFailedPrecondition},  // invalid authorization
    {"3D", StatusCode::kFailedPrecondition},  // no such database
    {"3F", StatusCode::kFailedPrecondition},  // no such schema
    {"40", StatusCode::kUnavailable},         // rolled back, to be tried again
    {"42", StatusCode::kFailedPrecondition},  // no such table or column, no privilege
    {"53", StatusCode::kUnavailable},         // out of disk, memory or connections
    {"55", StatusCode::kUnavailable},         // a lock takes too long
    {"57", StatusCode::kUnavailable},         // timeout, shutdown, starting up
    {"58", StatusCode::kUnavailable},         // I/O error
    {"XX001", StatusCode::kDataLoss},         // data corrupted
    {"XX002", StatusCode::kDataLoss},         // index corrupted
};

StatusCode CodeOf(std::string_view state) {
  for (const CodeOfState& known : kCodes) {
    if (state.starts_with(known.prefix)) return known.code;
  }
  return StatusCode::kInternal;
}

// libpq's messages have several lines and end with a break.
std::string InOneLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::ranges::replace(text, '\n', ' ');
  return text;
}

Status ErrorAt(const PostgresAddress& address, StatusCode code, const std::string& text) {
  return MakeError(code, "store \"{}\": {}", address.name, InOneLine(text));
}

}  // namespace

Status PostgresError(const PostgresAddress& address) {
  try {
    throw;
  } catch (const pqxx::transaction_rollback& error) {  // an sql_error of libpqxx 7 alone
    return ErrorAt(address, StatusCode::kUnavailable, error.what());
  } catch (const pqxx::sql_error& error) {
    return ErrorAt(address, CodeOf(error.sqlstate()),
                   fmt::format("{} (SQLSTATE {})", error.what(), error.sqlstate()));
  } catch (const pqxx::broken_connection& error) {
    return ErrorAt(address, StatusCode::kUnavailable, error.what());
  } catch (const pqxx::in_doubt_error&) {
    return ErrorAt(address, StatusCode::kUnavailable, "the connection was lost during a commit");
  } catch (const std::bad_alloc&) {
    return ErrorAt(address, StatusCode::kResourceExhausted, "no memory");
  } catch (const std::exception& error) {
    return ErrorAt(address, StatusCode::kInternal, error.what());
  }
}

StatusOr<std::unique_ptr<pqxx::connection>> ConnectToPostgres(const PostgresAddress& address) {
  using Connection = std::unique_ptr<pqxx::connection>;
  return CatchingPostgresErrors(address, [&]() -> StatusOr<Connection> {
    auto connection = std::make_unique<pqxx::connection>(address.connection_string);
    pqxx::nontransaction(*connection).exec(kSettings);
    return connection;
  });
}

void BreakConnection(int socket) { shutdown(socket, SHUT_RDWR); }

}  // namespace tconv::server
