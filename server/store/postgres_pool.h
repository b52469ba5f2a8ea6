// Transactions on a few connections to PostgreSQL.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/store/postgres_connection.h"

namespace tconv::server {

// Connections are made when they are needed and kept. Callers wait for one of
// them when all are in use, for some seconds at most. Thread-safe.
//
// A transaction that breaks with a connection that was kept, before it was to be
// committed, is done once more on a new one: after a restart of PostgreSQL every
// kept connection is broken, and callers should not hear of it. So `work` may be
// called twice; it returns a Status or StatusOr, and PostgreSQL's exceptions
// leave it. Errors as PostgresError().
class PostgresPool {
 public:
  PostgresPool(PostgresAddress address, size_t max_connections)
      : address_(std::move(address)), max_connections_(max_connections) {}

  const PostgresAddress& address() const { return address_; }

  // Ends what is under way, for PostgreSQL does not answer: UNAVAILABLE, and for a
  // change whose commit was under way as if the connection was lost.
  void BreakConnections();

  // work(pqxx::transaction_base&) sees one state of the database and cannot
  // change it.
  template <typename Work>
  auto Read(Work work) {
    return Run(&PostgresPool::ReadOnce, std::move(work));
  }

  // Every statement of work(pqxx::transaction_base&) sees what others have
  // committed before it. What it changed is durable when this returns OK, and
  // undone when `work` returns an error. When the connection is lost during the
  // commit, PostgreSQL is asked what became of it; UNAVAILABLE says "outcome
  // unknown" when that cannot be told either.
  template <typename Work>
  auto Write(Work work) {
    return Run(&PostgresPool::WriteOnce, std::move(work));
  }

 private:
  using Connection = std::unique_ptr<pqxx::connection>;
  using WorkFunction = std::function<Status(pqxx::transaction_base&)>;

  // A connection in use.
  struct Lease {
    Connection connection;
    int socket = -1;
    bool was_kept = false;
  };
  // What became of one attempt.
  struct Attempt {
    Status status;
    bool may_repeat = false;  // it broke before it could change anything
  };

  static Status StatusOf(const Status& status) { return status; }
  template <typename T>
  static Status StatusOf(const StatusOr<T>& result) {
    return result.status();
  }

  template <typename Work>
  auto Run(Attempt (PostgresPool::*once)(pqxx::connection&, const WorkFunction&), Work work) {
    using Result = std::invoke_result_t<Work, pqxx::transaction_base&>;
    Result result;
    const Status status = RunTwice(once, [&](pqxx::transaction_base& transaction) {
      result = work(transaction);
      return StatusOf(result);
    });
    if (!status.ok()) result = status;
    return result;
  }

  Status RunTwice(Attempt (PostgresPool::*once)(pqxx::connection&, const WorkFunction&),
                  const WorkFunction& work);
  Attempt ReadOnce(pqxx::connection& connection, const WorkFunction& work);
  Attempt WriteOnce(pqxx::connection& connection, const WorkFunction& work);
  Status OutcomeOf(const std::string& transaction_id);

  StatusOr<Lease> Acquire();
  StatusOr<Lease> Connect();
  // Keeps the connection unless it is broken; that one is to be closed after this.
  void Release(Lease& lease);
  void ForgetKept();

  const PostgresAddress address_;
  const size_t max_connections_;

  Mutex mutex_;
  CondVar released_;
  std::vector<Connection> kept_ TCONV_GUARDED_BY(mutex_);
  size_t in_use_ TCONV_GUARDED_BY(mutex_) = 0;
  std::set<int> sockets_in_use_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
