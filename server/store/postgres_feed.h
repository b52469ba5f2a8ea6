// Follows the changes of a PostgreSQL store.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "server/base/status.h"
#include "server/store/layer_store.h"
#include "server/store/postgres_pool.h"
#include "server/store/pqxx_compat.h"
#include "server/store/stall_watch.h"

namespace tconv::server {

// Listens on a connection of its own. What it hears only wakes it: messages are
// lost while there is no connection, so it always asks for all that has changed
// since, after connecting and whenever the patience has come to its end.
class PostgresFeed final : public ChangeFeed {
 public:
  // `pool` must outlive the feed. When a question is not answered within
  // `answer_limit`, PostgreSQL is taken to be away, for the pool as well.
  PostgresFeed(PostgresPool& pool, int64_t revision, std::chrono::milliseconds answer_limit);
  ~PostgresFeed() override;

  StatusOr<StoreChanges> Next(std::chrono::milliseconds patience) override;
  void Interrupt() override;

 private:
  using Clock = std::chrono::steady_clock;

  Status Connect();
  // Until a message came, Interrupt() or `deadline`. UNAVAILABLE: the connection
  // was lost.
  Status Listen(Clock::time_point deadline);
  StatusOr<StoreChanges> Ask();
  StoreChanges ReadChanges(pqxx::transaction_base& transaction) const;
  // The result of `use()`; gives the connection up after an error.
  template <typename Use>
  auto Guarded(Use use) -> decltype(use());
  // Since this was asked last.
  bool WasInterrupted();

  PostgresPool& pool_;
  int64_t revision_;
  const int interrupt_;                           // readable after Interrupt()
  std::unique_ptr<pqxx::connection> connection_;  // null: not connected
  int socket_ = -1;                               // of connection_
  StallWatch watch_;                              // over the questions on connection_
};

}  // namespace tconv::server
