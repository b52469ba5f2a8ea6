#include "client/src/segment_memory.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tconv::internal {
namespace {

using codec::FileDescriptor;

// A server answers at once; one that is stopped must not hold up its clients.
constexpr timeval kAnswerTimeout = {.tv_sec = 5, .tv_usec = 0};

absl::Status NoMemory(size_t bytes) {
  return absl::ResourceExhaustedError(
      absl::StrCat("cannot make ", bytes, " bytes of shared memory: ", std::strerror(errno)));
}

absl::StatusOr<FileDescriptor> MakeMemory(size_t bytes) {
  FileDescriptor memory(memfd_create("tconv", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool is_made =
      memory.get() >= 0 && ftruncate(memory.get(), static_cast<off_t>(bytes)) == 0 &&
      fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
  if (!is_made) return NoMemory(bytes);
  return memory;
}

absl::StatusOr<FileDescriptor> ConnectTo(const std::string& path) {
  const absl::StatusOr<sockaddr_un> address = codec::SocketAddress(path);
  if (!address.ok()) return address.status();
  FileDescriptor connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const bool is_connected = connection.get() >= 0 &&
                            setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout,
                                       sizeof(kAnswerTimeout)) == 0 &&
                            setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &kAnswerTimeout,
                                       sizeof(kAnswerTimeout)) == 0 &&
                            connect(connection.get(), reinterpret_cast<const sockaddr*>(&*address),
                                    sizeof(*address)) == 0;
  if (is_connected) return connection;
  return absl::UnavailableError(
      absl::StrCat("cannot reach a server at ", path, ": ", std::strerror(errno)));
}

// Nothing is ever sent after the answer: what there is to read is the end.
bool HasEnded(const FileDescriptor& socket) {
  pollfd event = {socket.get(), POLLIN, 0};
  return poll(&event, 1, 0) > 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<SegmentMemory>> SegmentMemory::Open(std::string socket_path,
                                                                   size_t bytes) {
  if (bytes == 0) return absl::InvalidArgumentError("size_bytes: expected more than 0");
  absl::StatusOr<FileDescriptor> memory = MakeMemory(bytes);
  if (!memory.ok()) return memory.status();
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->get(), 0);
  if (data == MAP_FAILED) return NoMemory(bytes);
  auto segment = std::shared_ptr<SegmentMemory>(new SegmentMemory(
      std::move(socket_path), *std::move(memory), static_cast<std::byte*>(data), bytes));
  if (absl::StatusOr<Call> call = segment->BeginCall(); !call.ok()) return call.status();
  // Only now that the server has found the size reasonable. Later the first to
  // write, which may be the server, would find out that there is no memory.
  if (fallocate(segment->memory_.get(), 0, 0, static_cast<off_t>(bytes)) != 0) {
    return NoMemory(bytes);
  }
  return segment;
}

SegmentMemory::SegmentMemory(std::string socket_path, FileDescriptor memory, std::byte* data,
                             size_t bytes)
    : socket_path_(std::move(socket_path)),
      memory_(std::move(memory)),
      data_(data),
      bytes_(bytes),
      arena_(bytes) {}

SegmentMemory::~SegmentMemory() { munmap(data_, bytes_); }

absl::StatusOr<Region> SegmentMemory::Take(size_t bytes) {
  const std::lock_guard lock(mutex_);
  Reclaim();
  if (const std::optional<Region> region = arena_.Take(bytes)) return *region;
  return absl::ResourceExhaustedError(
      absl::StrCat("no room for ", bytes, " bytes in a shared memory of ", bytes_,
                   retired_.empty() ? "" : ", where calls that were given up have not ended yet"));
}

void SegmentMemory::Return(Region region) {
  const std::lock_guard lock(mutex_);
  arena_.Return(region);
}

absl::StatusOr<SegmentMemory::Call> SegmentMemory::BeginCall() {
  const std::lock_guard lock(mutex_);
  if (current_ != nullptr && HasEnded(current_->socket)) current_ = nullptr;
  if (current_ == nullptr) {
    absl::StatusOr<std::shared_ptr<Registration>> made = Register();
    if (!made.ok()) return made.status();
    current_ = *std::move(made);
  }
  ++current_->calls;
  return Call(shared_from_this(), current_);
}

absl::StatusOr<std::shared_ptr<SegmentMemory::Registration>> SegmentMemory::Register() const {
  absl::StatusOr<FileDescriptor> socket = ConnectTo(socket_path_);
  if (!socket.ok()) return socket.status();
  if (absl::Status sent = codec::SendOffer(socket->get(), memory_.get()); !sent.ok()) return sent;
  absl::StatusOr<std::string> segment = codec::ReceiveAnswer(socket->get());
  if (!segment.ok()) return segment.status();
  auto registration = std::make_shared<Registration>();
  registration->socket = *std::move(socket);
  registration->segment = *std::move(segment);
  return registration;
}

// A registration with abandoned regions is given back, so that no call can start
// to use it; the server ends the connection when the last one has ended.
void SegmentMemory::EndCall(Registration& registration) {
  const std::lock_guard lock(mutex_);
  if (--registration.calls == 0 && !registration.abandoned.empty()) {
    shutdown(registration.socket.get(), SHUT_WR);
  }
}

void SegmentMemory::Abandon(const std::shared_ptr<Registration>& registration, Region region) {
  const std::lock_guard lock(mutex_);
  if (registration->abandoned.empty()) retired_.push_back(registration);
  registration->abandoned.push_back(region);
  if (current_ == registration) current_ = nullptr;
}

void SegmentMemory::Reclaim() {
  std::erase_if(retired_, [this](const std::shared_ptr<Registration>& registration) {
    if (registration->calls > 0 || !HasEnded(registration->socket)) return false;
    for (const Region& region : registration->abandoned) arena_.Return(region);
    return true;
  });
}

}  // namespace tconv::internal
