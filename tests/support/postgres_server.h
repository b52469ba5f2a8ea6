// A PostgreSQL server for the tests alone.
#pragma once

#include <sys/types.h>

#include <string>

#include "tests/support/temp_folder.h"

struct pg_conn;

namespace tconv::testing {

// A cluster of its own in a temporary folder, reached by a socket in there. It
// belongs to an unprivileged user when root runs the tests, since PostgreSQL
// refuses root, and ends with the thread that started it.
class PostgresServer {
 public:
  // Makes the cluster and starts it.
  PostgresServer();
  // Ends without a farewell.
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // What OpenStore() takes, for a new and empty database.
  std::string NewDatabase();

  // REQUIRES: it does not run. Returns when it takes connections.
  void Start();
  // Ends all transactions and connections, and writes everything out.
  void Stop();
  // Ends at once, as by a crash; the next start recovers.
  void Kill();

  // The socket's folder.
  std::string folder() const { return folder_.path().string(); }

 private:
  void End(int signal);

  const TempFolder folder_;
  pid_t pid_ = -1;
  int databases_ = 0;
};

// A connection to the database of `address`, with whatever is begun on it.
class SqlSession {
 public:
  explicit SqlSession(const std::string& address);
  ~SqlSession();
  SqlSession(const SqlSession&) = delete;
  SqlSession& operator=(const SqlSession&) = delete;

  // The first value of the last result, "" when there is none. Fails the test on
  // an error.
  std::string Run(const std::string& sql);

 private:
  pg_conn* const connection_;
};

// The same on a connection for this alone.
std::string RunSql(const std::string& address, const std::string& sql);

}  // namespace tconv::testing
