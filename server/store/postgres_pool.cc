#include "server/store/postgres_pool.h"

#include <optional>
#include <thread>

namespace tconv::server {
namespace {

constexpr std::chrono::seconds kAcquirePatience{10};
// PostgreSQL needs some seconds to start again after a crash.
constexpr std::chrono::seconds kOutcomePatience{10};
constexpr std::chrono::milliseconds kOutcomePause{50};

// "committed", "aborted" or "in progress"; nothing when nobody remembers.
StatusOr<std::string> AskForOutcome(const PostgresAddress& address,
                                    const std::string& transaction_id) {
  TCONV_ASSIGN_OR_RETURN(const auto connection, ConnectToPostgres(address));
  return CatchingPostgresErrors(address, [&]() -> StatusOr<std::string> {
    pqxx::nontransaction transaction(*connection);
    const pqxx::result result =
        Exec(transaction, "SELECT coalesce(pg_xact_status($1::xid8), 'forgotten')", transaction_id);
    return result[0][0].as<std::string>();
  });
}

}  // namespace

Status PostgresPool::RunTwice(Attempt (PostgresPool::*once)(pqxx::connection&, const WorkFunction&),
                              const WorkFunction& work) {
  while (true) {
    TCONV_ASSIGN_OR_RETURN(Lease lease, Acquire());
    const Attempt attempt = (this->*once)(*lease.connection, work);
    const bool is_broken = !lease.connection->is_open();
    Release(lease);
    if (!is_broken || !attempt.may_repeat || !lease.was_kept) return attempt.status;
    ForgetKept();
  }
}

PostgresPool::Attempt PostgresPool::ReadOnce(pqxx::connection& connection,
                                             const WorkFunction& work) {
  const Status status = CatchingPostgresErrors(address_, [&] {
    PostgresSnapshot transaction(connection);
    return work(transaction);
  });
  return {.status = status, .may_repeat = true};
}

PostgresPool::Attempt PostgresPool::WriteOnce(pqxx::connection& connection,
                                              const WorkFunction& work) {
  std::string transaction_id;  // known when it is to be committed
  const Status status = CatchingPostgresErrors(address_, [&]() -> Status {
    pqxx::work transaction(connection);
    TCONV_RETURN_IF_ERROR(work(transaction));
    transaction_id = transaction.exec("SELECT pg_current_xact_id()")[0][0].as<std::string>();
    transaction.commit();
    return OkStatus();
  });
  const bool is_in_doubt = !status.ok() && !transaction_id.empty() && !connection.is_open();
  return {.status = is_in_doubt ? OutcomeOf(transaction_id) : status,
          .may_repeat = transaction_id.empty()};
}

Status PostgresPool::OutcomeOf(const std::string& transaction_id) {
  const auto deadline = std::chrono::steady_clock::now() + kOutcomePatience;
  std::string last;
  do {
    const StatusOr<std::string> outcome = AskForOutcome(address_, transaction_id);
    if (outcome.ok() && *outcome == "committed") return OkStatus();
    if (outcome.ok() && *outcome == "aborted") {
      return MakeError(StatusCode::kUnavailable,
                       "store \"{}\": the connection was lost, nothing has changed", address_.name);
    }
    last = outcome.ok() ? *outcome : MessageOf(outcome.status());
    std::this_thread::sleep_for(kOutcomePause);
  } while (std::chrono::steady_clock::now() < deadline);
  return MakeError(StatusCode::kUnavailable,
                   "store \"{}\": the connection was lost during a commit, outcome unknown: {}",
                   address_.name, last);
}

StatusOr<PostgresPool::Lease> PostgresPool::Acquire() {
  const auto deadline = std::chrono::steady_clock::now() + kAcquirePatience;
  {
    const MutexLock lock(mutex_);
    while (in_use_ == max_connections_) {
      if (!released_.WaitUntil(mutex_, deadline)) {
        return MakeError(StatusCode::kUnavailable, "store \"{}\": all {} connections are in use",
                         address_.name, max_connections_);
      }
    }
    ++in_use_;
    if (!kept_.empty()) {
      Lease lease{.connection = std::move(kept_.back()), .was_kept = true};
      kept_.pop_back();
      lease.socket = lease.connection->sock();
      sockets_in_use_.insert(lease.socket);
      return lease;
    }
  }
  return Connect();
}

StatusOr<PostgresPool::Lease> PostgresPool::Connect() {
  StatusOr<Connection> connection = ConnectToPostgres(address_);
  Lease lease;
  if (!connection.ok()) {
    Release(lease);
    return connection.status();
  }
  lease.connection = *std::move(connection);
  lease.socket = lease.connection->sock();
  const MutexLock lock(mutex_);
  sockets_in_use_.insert(lease.socket);
  return lease;
}

void PostgresPool::Release(Lease& lease) {
  const MutexLock lock(mutex_);
  sockets_in_use_.erase(lease.socket);
  if (lease.connection != nullptr && lease.connection->is_open()) {
    kept_.push_back(std::move(lease.connection));
  }
  --in_use_;
  released_.NotifyOne();
}

void PostgresPool::BreakConnections() {
  const MutexLock lock(mutex_);
  for (const int socket : sockets_in_use_) BreakConnection(socket);
}

void PostgresPool::ForgetKept() {
  std::vector<Connection> forgotten;  // closed without the lock
  const MutexLock lock(mutex_);
  forgotten.swap(kept_);
}

}  // namespace tconv::server
