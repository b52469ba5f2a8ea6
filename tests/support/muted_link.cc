#include "tests/support/muted_link.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace tconv::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int PortOf(const std::string& address) { return std::stoi(address.substr(address.rfind(':') + 1)); }

// All of the bytes, as far as the other side takes them.
bool Send(int socket, const char* data, ssize_t size) {
  for (ssize_t sent = 0; sent < size;) {
    const ssize_t count = send(socket, data + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += count;
  }
  return true;
}

}  // namespace

MutedLink::MutedLink(const std::string& server) : server_(server) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, SOMAXCONN), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  target_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  acceptor_ = std::thread([this] { AcceptClients(); });
}

MutedLink::~MutedLink() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  Break();
  server::MutexLock lock(mutex_);
  for (Connection& connection : connections_) {
    connection.requests.join();
    connection.answers.join();
    close(connection.client);
    close(connection.server);
  }
}

void MutedLink::Break() {
  server::MutexLock lock(mutex_);
  for (const Connection& connection : connections_) {
    shutdown(connection.client, SHUT_RDWR);
    shutdown(connection.server, SHUT_RDWR);
  }
  is_muted_ = false;
}

void MutedLink::AcceptClients() {
  for (;;) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(PortOf(server_));
    EXPECT_EQ(connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    server::MutexLock lock(mutex_);
    Connection& connection = connections_.emplace_back(Connection{client, server});
    connection.requests = std::thread([=, this] { PassOn(client, server, false); });
    connection.answers = std::thread([=, this] { PassOn(server, client, true); });
  }
}

void MutedLink::PassOn(int from, int to, bool is_answer) {
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t size = recv(from, buffer.data(), buffer.size(), 0);
    if (size <= 0) break;
    if (is_answer && is_muted_) continue;
    if (!Send(to, buffer.data(), size)) break;
  }
  shutdown(from, SHUT_RDWR);
  shutdown(to, SHUT_RDWR);
}

}  // namespace tconv::testing
