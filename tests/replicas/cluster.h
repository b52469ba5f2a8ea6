// Three replicas over one PostgreSQL, behind HAProxy, as an operator has them.
#pragma once

#include <tconv/client.h>

#include <array>
#include <memory>
#include <string>

#include "tests/support/child_process.h"
#include "tests/support/postgres_server.h"
#include "tests/support/server_process.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {

// All of it as processes of their own; they end with the object.
class Cluster {
 public:
  static constexpr size_t kReplicas = 3;

  Cluster();

  // Turns to the replicas itself.
  Client BalancingClient() const;
  // Lets HAProxy choose, by deploy/haproxy.cfg.
  Client BalancedClient() const;
  // Of one replica alone.
  Client ClientOf(size_t replica) const { return Client(replicas_[replica]->target()); }

  // SIGKILL; then it starts again where it was.
  void KillReplica(size_t number);
  // SIGTERM; then it starts again where it was. The exit code of the old one.
  int DrainReplica(size_t number);

  void StopDatabase() { database_.Stop(); }
  void StartDatabase() { database_.Start(); }

 private:
  void StartReplica(size_t number, const std::string& address);
  void StartBalancer();

  const TempFolder folder_;
  PostgresServer database_;
  const std::string store_ = database_.NewDatabase();
  std::array<std::unique_ptr<ServerProcess>, kReplicas> replicas_;
  std::unique_ptr<ChildProcess> balancer_;
};

}  // namespace tconv::testing
