#include "server/store/postgres_feed.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "server/store/postgres_rows.h"

namespace tconv::server {
namespace {

int MillisecondsUntil(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1'000'000));
}

std::vector<int64_t> LivingIds(pqxx::transaction_base& transaction) {
  std::vector<int64_t> ids;
  for (const pqxx::row& row : transaction.exec("SELECT id FROM tconv.layer ORDER BY id")) {
    ids.push_back(row[0].as<int64_t>());
  }
  return ids;
}

}  // namespace

PostgresFeed::PostgresFeed(PostgresPool& pool, int64_t revision,
                           std::chrono::milliseconds answer_limit)
    : pool_(pool),
      revision_(revision),
      interrupt_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      watch_(answer_limit, [this] {
        BreakConnection(socket_);
        pool_.BreakConnections();
      }) {}

PostgresFeed::~PostgresFeed() { close(interrupt_); }

void PostgresFeed::Interrupt() { eventfd_write(interrupt_, 1); }

template <typename Use>
auto PostgresFeed::Guarded(Use use) -> decltype(use()) {
  auto result = CatchingPostgresErrors(pool_.address(), std::move(use));
  if (!result.ok()) connection_.reset();
  return result;
}

StatusOr<StoreChanges> PostgresFeed::Next(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  if (connection_ == nullptr) {
    const int64_t told = revision_;
    TCONV_RETURN_IF_ERROR(Connect());
    StatusOr<StoreChanges> missed = Ask();
    if (!missed.ok() || missed->revision != told) return missed;
  }
  TCONV_RETURN_IF_ERROR(Listen(deadline));
  return Ask();
}

Status PostgresFeed::Connect() {
  auto connection = ConnectToPostgres(pool_.address());
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  socket_ = connection_->sock();
  return Guarded([&]() -> Status {
    watch_.Watch([&] {
      pqxx::nontransaction(*connection_).exec(std::string("LISTEN ") + kPostgresChannel);
    });
    return OkStatus();
  });
}

Status PostgresFeed::Listen(Clock::time_point deadline) {
  return Guarded([&]() -> Status {
    // Messages that came along with an answer make the socket readable no more.
    while (connection_->get_notifs() == 0) {
      std::array<pollfd, 2> sources{{{connection_->sock(), POLLIN, 0}, {interrupt_, POLLIN, 0}}};
      const int ready = poll(sources.data(), sources.size(), MillisecondsUntil(deadline));
      if (ready == 0 || WasInterrupted()) return OkStatus();
    }
    return OkStatus();
  });
}

StatusOr<StoreChanges> PostgresFeed::Ask() {
  auto changes = Guarded([&]() -> StatusOr<StoreChanges> {
    return watch_.Watch([&] {
      PostgresSnapshot transaction(*connection_);
      StoreChanges read = ReadChanges(transaction);
      // Left to the destructor, libpqxx would throw away the messages that come with
      // the end of the transaction.
      transaction.commit();
      return read;
    });
  });
  if (changes.ok()) revision_ = changes->revision;
  return changes;
}

StoreChanges PostgresFeed::ReadChanges(pqxx::transaction_base& transaction) const {
  const PostgresCatalog catalog = ReadCatalog(transaction);
  StoreChanges changes;
  changes.revision = changes.changed.revision = catalog.revision;
  if (catalog.revision == revision_) return changes;
  const bool was_put_back = catalog.revision < revision_;
  changes.changed = ReadLayersSince(transaction, was_put_back ? 0 : revision_);
  changes.changed.revision = catalog.revision;
  if (was_put_back || catalog.removal_revision > revision_) {
    changes.living = LivingIds(transaction);
  }
  return changes;
}

bool PostgresFeed::WasInterrupted() {
  eventfd_t count = 0;
  return eventfd_read(interrupt_, &count) == 0;
}

}  // namespace tconv::server
