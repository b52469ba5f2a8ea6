// A connection to a server that loses answers.
#pragma once

#include <atomic>
#include <list>
#include <string>
#include <thread>

#include "server/base/mutex.h"

namespace tconv::testing {

// Passes bytes on between clients and a server, both on loopback, until it is muted:
// then what the server says is lost, while it still hears the clients. Thread-safe.
class MutedLink {
 public:
  // `server` is an address of IPv4 with a port. Fails the test when it cannot listen.
  explicit MutedLink(const std::string& server);
  ~MutedLink();
  MutedLink(const MutedLink&) = delete;
  MutedLink& operator=(const MutedLink&) = delete;

  // What clients connect to.
  const std::string& target() const { return target_; }

  void Mute() { is_muted_ = true; }
  // Breaks all connections; those that are made anew are heard again.
  void Break();

 private:
  void AcceptClients();
  // Until one of them closes its end.
  void PassOn(int from, int to, bool is_answer);

  struct Connection {
    int client = -1;
    int server = -1;
    std::thread requests = {};
    std::thread answers = {};
  };

  const std::string server_;
  std::string target_;
  int listener_ = -1;
  std::atomic<bool> is_muted_ = false;
  server::Mutex mutex_;
  std::list<Connection> connections_ TCONV_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace tconv::testing
