// What tconv's transport is compared with: servers that do less, or the same in
// the plain way, each in a process of its own.
#pragma once

#include <sys/types.h>

#include <string>

namespace tconv::bench {

enum class PeerKind {
  // Sends every message back as the buffer that it arrived in: what gRPC itself
  // costs.
  kEcho,
  // Generated code: answers Forward with the elements of its input, which pass
  // through protobuf both ways.
  kPlain,
};

// Serves on a free port of loopback until it is destroyed. To be made before
// anything of this process uses gRPC, for it forks.
class PeerServer {
 public:
  explicit PeerServer(PeerKind kind);
  ~PeerServer();
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;

  const std::string& target() const { return target_; }

 private:
  pid_t pid_ = -1;
  std::string target_;
};

}  // namespace tconv::bench
