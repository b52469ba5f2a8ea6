#include "proto/codec/segment_socket.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace tconv::codec {
namespace {

constexpr std::string_view kOffer = "tconv-m1";

struct Answer {
  uint32_t code;
  char text[252];
};
static_assert(sizeof(Answer) == 256);

absl::Status ConnectionLost(absl::string_view action) {
  return absl::UnavailableError(
      absl::StrCat("the socket for shared memory: cannot ", action, ": ", std::strerror(errno)));
}

template <typename Call>
ssize_t Uninterrupted(Call call) {
  ssize_t result = -1;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Takes over every descriptor that came with a message, so that none is lost.
std::vector<FileDescriptor> DescriptorsOf(msghdr& message) {
  std::vector<FileDescriptor> descriptors;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + at, sizeof(number));
      descriptors.emplace_back(number);
    }
  }
  return descriptors;
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) close(number_);
}

absl::StatusOr<sockaddr_un> SocketAddress(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("expected the path of a socket, of at most ",
                                                   sizeof(address.sun_path) - 1, " bytes, got \"",
                                                   path, "\""));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::Status SendOffer(int socket, int memory) {
  std::array<char, kOffer.size()> bytes = {};
  std::copy(kOffer.begin(), kOffer.end(), bytes.begin());
  iovec content = {bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &memory, sizeof(memory));
  if (Uninterrupted([&] { return sendmsg(socket, &message, MSG_NOSIGNAL); }) < 0) {
    return ConnectionLost("send");
  }
  return absl::OkStatus();
}

absl::StatusOr<FileDescriptor> ReceiveOffer(int socket) {
  // One byte more than an offer has tells a longer message apart.
  std::array<char, kOffer.size() + 1> bytes = {};
  iovec content = {bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof(int))> control = {};
  msghdr message = {};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size =
      Uninterrupted([&] { return recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); });
  if (size < 0) return ConnectionLost("receive");
  std::vector<FileDescriptor> descriptors = DescriptorsOf(message);
  if (size == 0) return absl::UnavailableError("the peer has closed the connection");
  const bool is_offer = std::string_view(bytes.data(), static_cast<size_t>(size)) == kOffer;
  if (!is_offer || descriptors.size() != 1 || (message.msg_flags & MSG_CTRUNC) != 0) {
    return absl::InvalidArgumentError("expected an offer of memory with one file descriptor");
  }
  return std::move(descriptors.front());
}

absl::Status SendAnswer(int socket, const absl::StatusOr<std::string>& segment) {
  Answer answer = {};
  answer.code = static_cast<uint32_t>(segment.status().code());
  const absl::string_view text =
      segment.ok() ? absl::string_view(*segment) : segment.status().message();
  text.copy(answer.text, sizeof(answer.text) - 1);
  const ssize_t size = Uninterrupted(
      [&] { return send(socket, &answer, sizeof(answer), MSG_NOSIGNAL | MSG_DONTWAIT); });
  return size < 0 ? ConnectionLost("send") : absl::OkStatus();
}

absl::StatusOr<std::string> ReceiveAnswer(int socket) {
  Answer answer = {};
  const ssize_t size = Uninterrupted([&] { return recv(socket, &answer, sizeof(answer), 0); });
  if (size < 0) return ConnectionLost("receive");
  if (size != sizeof(answer)) {
    return absl::UnavailableError("the socket for shared memory: the server does not answer");
  }
  answer.text[sizeof(answer.text) - 1] = '\0';
  if (answer.code == 0) return std::string(answer.text);
  return absl::Status(static_cast<absl::StatusCode>(answer.code), answer.text);
}

}  // namespace tconv::codec
