#include "server/rpc/socket_file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proto/codec/segment_socket.h"

namespace tconv::server {
namespace {

// A socket of another type than the one that listens is told so, which is an
// answer as well.
bool HasListener(const sockaddr_un& address) {
  const codec::FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
         errno != ECONNREFUSED;
}

}  // namespace

Status RemoveStaleSocket(const std::string& path) {
  TCONV_ASSIGN_OR_RETURN(const sockaddr_un address, codec::SocketAddress(path));
  struct stat file = {};
  if (lstat(path.c_str(), &file) != 0) {
    if (errno == ENOENT) return OkStatus();
    return MakeError(StatusCode::kFailedPrecondition, "cannot use {}: {}", path,
                     std::strerror(errno));
  }
  if (!S_ISSOCK(file.st_mode)) {
    return MakeError(StatusCode::kFailedPrecondition, "{} exists and is not a socket", path);
  }
  if (HasListener(address)) {
    return MakeError(StatusCode::kUnavailable, "somebody listens on {} already", path);
  }
  if (unlink(path.c_str()) != 0) {
    return MakeError(StatusCode::kFailedPrecondition, "cannot replace {}: {}", path,
                     std::strerror(errno));
  }
  return OkStatus();
}

}  // namespace tconv::server
