// The socket over which clients share their memory.
#pragma once

#include <poll.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proto/codec/segment_socket.h"
#include "server/base/status.h"
#include "server/host/shared_memory.h"

namespace tconv::server {

struct SegmentServerOptions {
  // Of the socket; only the user of the server may use the file.
  std::string path = {};
  // Others wait until one ends.
  size_t max_connections = 300;
  // For a client to make its offer.
  std::chrono::milliseconds offer_timeout = std::chrono::seconds(5);
};

// Listens from Start() until it is destroyed; proto/codec/segment_socket.h is
// what it speaks. A connection brings one segment, which ends with it. Only
// processes of the server's user and of root are heard.
//
// One thread serves all connections. It never waits for one of them, and what it
// reads of one is a message of fixed size.
class SegmentServer {
 public:
  // `memory` must outlive the server. Replaces a socket that nobody listens on.
  // INVALID_ARGUMENT, FAILED_PRECONDITION or UNAVAILABLE about the path.
  static StatusOr<std::unique_ptr<SegmentServer>> Start(SegmentServerOptions options,
                                                        SharedMemory& memory);
  // Ends all connections and removes the socket; calls keep what they use.
  ~SegmentServer();

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection;

  SegmentServer(SegmentServerOptions options, SharedMemory& memory, codec::FileDescriptor listener,
                codec::FileDescriptor stop);

  void Run();
  // What to wait for: to be stopped, for connections, for each of them.
  std::vector<pollfd> Events() const;
  // Until the next offer is too late; -1: as long as it takes.
  int WaitMillis() const;
  void Accept();
  // Whether the connection goes on.
  bool Serve(Connection& connection);
  // The name of the new segment.
  StatusOr<std::string> TakeOffer(const Connection& connection);
  void End(Connection& connection);

  const SegmentServerOptions options_;
  SharedMemory& memory_;
  const codec::FileDescriptor listener_;
  const codec::FileDescriptor stop_;
  // Of the thread alone.
  std::vector<Connection> connections_;
  bool can_accept_ = true;
  std::thread thread_;
};

}  // namespace tconv::server
