#include "server/rpc/segment_server.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "server/rpc/socket_file.h"

namespace tconv::server {
namespace {

using codec::FileDescriptor;

constexpr int kBacklog = 64;
// Until descriptors that the process has run out of may be there again.
constexpr int kRetryMillis = 100;

Status SocketError(const std::string& path) {
  return MakeError(StatusCode::kUnavailable, "cannot listen on {}: {}", path, std::strerror(errno));
}

StatusOr<FileDescriptor> Listen(const std::string& path) {
  TCONV_ASSIGN_OR_RETURN(const sockaddr_un address, codec::SocketAddress(path));
  TCONV_RETURN_IF_ERROR(RemoveStaleSocket(path));
  FileDescriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The file takes over the mode of the socket: it never exists with another one.
  const bool is_listening =
      listener.get() >= 0 && fchmod(listener.get(), S_IRUSR | S_IWUSR) == 0 &&
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      listen(listener.get(), kBacklog) == 0;
  if (!is_listening) return SocketError(path);
  return listener;
}

// Whether the process that connected runs as the server's user or as root.
Status CheckPeer(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  const bool is_known = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  if (is_known && (peer.uid == geteuid() || peer.uid == 0)) return OkStatus();
  return Status(StatusCode::kPermissionDenied,
                "only the user of the server and root may share memory with it");
}

}  // namespace

struct SegmentServer::Connection {
  // Shared with the segment: the client is to see the end of the connection when
  // the memory is unmapped, not before.
  std::shared_ptr<const FileDescriptor> socket;
  Clock::time_point offer_deadline;
  std::string segment;  // empty: no offer yet
};

StatusOr<std::unique_ptr<SegmentServer>> SegmentServer::Start(SegmentServerOptions options,
                                                              SharedMemory& memory) {
  TCONV_ASSIGN_OR_RETURN(FileDescriptor listener, Listen(options.path));
  FileDescriptor stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (stop.get() < 0) return SocketError(options.path);
  return std::unique_ptr<SegmentServer>(
      new SegmentServer(std::move(options), memory, std::move(listener), std::move(stop)));
}

SegmentServer::SegmentServer(SegmentServerOptions options, SharedMemory& memory,
                             FileDescriptor listener, FileDescriptor stop)
    : options_(std::move(options)),
      memory_(memory),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      thread_([this] { Run(); }) {}

SegmentServer::~SegmentServer() {
  // Removed first, so that the file of a server that starts now is not touched.
  unlink(options_.path.c_str());
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void SegmentServer::Run() {
  for (;;) {
    std::vector<pollfd> events = Events();
    // What interrupts it passes by itself.
    poll(events.data(), events.size(), WaitMillis());
    if (events[0].revents != 0) break;
    // Before new connections: who connects after another one has closed finds its
    // segment gone.
    const auto now = Clock::now();
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      const bool is_late = connection.segment.empty() && connection.offer_deadline <= now;
      if (is_late || (events[i + 2].revents != 0 && !Serve(connection))) End(connection);
    }
    std::erase_if(connections_, [](const Connection& connection) { return !connection.socket; });
    can_accept_ = true;
    if (events[1].revents != 0) Accept();
  }
  for (Connection& connection : connections_) End(connection);
}

std::vector<pollfd> SegmentServer::Events() const {
  // poll() passes over negative descriptors.
  const bool is_open = can_accept_ && connections_.size() < options_.max_connections;
  std::vector<pollfd> events = {{stop_.get(), POLLIN, 0},
                                {is_open ? listener_.get() : -1, POLLIN, 0}};
  for (const Connection& connection : connections_) {
    events.push_back({connection.socket->get(), POLLIN, 0});
  }
  return events;
}

int SegmentServer::WaitMillis() const {
  using std::chrono::milliseconds;
  int64_t millis = can_accept_ ? std::numeric_limits<int>::max() : kRetryMillis;
  bool is_waiting = !can_accept_;
  for (const Connection& connection : connections_) {
    if (!connection.segment.empty()) continue;
    const auto left =
        std::chrono::ceil<milliseconds>(connection.offer_deadline - Clock::now()).count();
    millis = std::clamp<int64_t>(left, 0, millis);
    is_waiting = true;
  }
  return is_waiting ? static_cast<int>(millis) : -1;
}

void SegmentServer::Accept() {
  FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.get() < 0) {
    can_accept_ = errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
    return;
  }
  connections_.push_back({std::make_shared<const FileDescriptor>(std::move(socket)),
                          Clock::now() + options_.offer_timeout, std::string()});
}

bool SegmentServer::Serve(Connection& connection) {
  // Whatever comes after the offer is the end.
  if (!connection.segment.empty()) return false;
  const StatusOr<std::string> segment = TakeOffer(connection);
  if (segment.ok()) connection.segment = *segment;
  return codec::SendAnswer(connection.socket->get(), segment).ok() && segment.ok();
}

StatusOr<std::string> SegmentServer::TakeOffer(const Connection& connection) {
  // Read before it is refused: closing on unread messages would lose the answer.
  TCONV_ASSIGN_OR_RETURN(const FileDescriptor memory,
                         codec::ReceiveOffer(connection.socket->get()));
  TCONV_RETURN_IF_ERROR(CheckPeer(connection.socket->get()));
  return memory_.Add(memory.get(), connection.socket);
}

void SegmentServer::End(Connection& connection) {
  if (!connection.segment.empty()) memory_.Remove(connection.segment);
  connection.socket.reset();
}

}  // namespace tconv::server
