// How a client gives memory to a server on the same host.
//
// The server listens on a Unix socket of type SOCK_SEQPACKET. The client connects
// and sends one offer: the eight bytes "tconv-m1", with the descriptor of a memfd
// that is sealed against shrinking, growing and more seals. The server answers
// with 256 bytes: a 32-bit number in the byte order of the host, 0 or a code of
// gRPC, and a text ended by a zero, the name of the segment or what is wrong.
// Nothing else is ever sent.
//
// The name is good until the client closes the connection or shuts its sending
// side down. The server closes its end when it has let go of the memory: a client
// that reads the end of the connection knows that no call uses it any more.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/un.h>

#include <string>
#include <utility>

namespace tconv::codec {

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~FileDescriptor();

  // -1: none.
  int get() const { return number_; }

 private:
  int number_ = -1;
};

// The address of the socket file at `path`. INVALID_ARGUMENT: too long for one.
absl::StatusOr<sockaddr_un> SocketAddress(const std::string& path);

// The four messages. Sending never raises SIGPIPE; receiving waits as the socket
// is set up to. UNAVAILABLE: the connection does not work any more.
absl::Status SendOffer(int socket, int memory);
// INVALID_ARGUMENT: something else than an offer has come.
absl::StatusOr<FileDescriptor> ReceiveOffer(int socket);
absl::Status SendAnswer(int socket, const absl::StatusOr<std::string>& segment);
// The name of the segment, or the error that the server answered.
absl::StatusOr<std::string> ReceiveAnswer(int socket);

}  // namespace tconv::codec
