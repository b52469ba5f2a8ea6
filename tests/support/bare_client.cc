#include "tests/support/bare_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

namespace tconv::testing {
namespace {

// Of RFC 9113.
enum FrameType : uint8_t { kData = 0, kHeaders = 1, kSettings = 4, kPing = 6, kWindowUpdate = 8 };
constexpr size_t kFrameHeadBytes = 9;
constexpr uint8_t kAck = 0x1;
constexpr uint8_t kEndHeaders = 0x4;
constexpr uint32_t kConnection = 0;
constexpr uint32_t kCall = 1;
constexpr uint16_t kInitialWindowSize = 4;
constexpr uint32_t kLargestWindow = 0x7fffffff;
constexpr uint32_t kDefaultWindow = 0xffff;
constexpr size_t kMostFrameBytes = 16384;

std::string BigEndian(uint64_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    text.push_back(static_cast<char>(value >> shift));
  }
  return text;
}

// Short texts, neither indexed nor compressed.
std::string EncodedHeaders(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers) {
  std::string encoded;
  for (const auto& [name, value] : headers) {
    encoded.push_back('\0');
    for (const std::string_view text : {name, value}) {
      encoded.push_back(static_cast<char>(text.size()));
      encoded.append(text);
    }
  }
  return encoded;
}

int ConnectTo(const std::string& target) {
  const size_t colon = target.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(target.substr(colon + 1))));
  inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr);
  const int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(connected, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ADD_FAILURE() << "cannot connect to " << target;
  }
  const timeval patience = {.tv_sec = 20, .tv_usec = 0};
  setsockopt(connected, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return connected;
}

}  // namespace

BareClient::BareClient(const std::string& target, std::string_view method)
    : socket_(ConnectTo(target)) {
  SendBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  SendFrame(kSettings, 0, kConnection,
            BigEndian(kInitialWindowSize, 2) + BigEndian(kLargestWindow, 4));
  SendFrame(kWindowUpdate, 0, kConnection, BigEndian(kLargestWindow - kDefaultWindow, 4));
  SendFrame(kHeaders, kEndHeaders, kCall,
            EncodedHeaders({{":method", "POST"},
                            {":scheme", "http"},
                            {":path", method},
                            {":authority", target},
                            {"content-type", "application/grpc"},
                            {"te", "trailers"}}));
}

BareClient::~BareClient() { close(socket_); }

void BareClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view next = bytes.substr(0, kMostFrameBytes);
    SendFrame(kData, 0, kCall, next);
    bytes.remove_prefix(next.size());
  }
}

void BareClient::SendPing(std::string_view payload) { SendFrame(kPing, 0, kConnection, payload); }

std::string BareClient::ReadToEnd() {
  std::string text;
  std::array<char, 4096> block{};
  for (ssize_t n = 0; (n = recv(socket_, block.data(), block.size(), 0)) > 0;) {
    text.append(block.data(), static_cast<size_t>(n));
  }
  return text;
}

std::string BareClient::ReadBytes(size_t count) {
  std::string text(count, '\0');
  const ssize_t n = recv(socket_, text.data(), count, MSG_WAITALL);
  return n == static_cast<ssize_t>(count) ? text : std::string();
}

std::optional<BareClient::Frame> BareClient::ReadFrame() {
  const std::string head = ReadBytes(kFrameHeadBytes);
  if (head.empty()) return std::nullopt;
  const auto byte = [&head](size_t i) { return static_cast<uint8_t>(head[i]); };
  const size_t length = (size_t{byte(0)} << 16) + (size_t{byte(1)} << 8) + byte(2);
  return Frame{byte(3), byte(4), ReadBytes(length)};
}

bool BareClient::AwaitPong(std::string_view payload) {
  while (const auto frame = ReadFrame()) {
    if (frame->type == kPing && frame->flags == kAck && frame->payload == payload) return true;
  }
  return false;
}

bool BareClient::AnswerPings(int count) {
  while (count > 0) {
    const auto frame = ReadFrame();
    if (!frame.has_value()) return false;
    if (frame->type != kPing || frame->flags == kAck) continue;
    SendFrame(kPing, kAck, kConnection, frame->payload);
    --count;
  }
  return true;
}

void BareClient::SendFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  SendBytes(BigEndian(payload.size(), 3) + BigEndian(type, 1) + BigEndian(flags, 1) +
            BigEndian(stream, 4));
  SendBytes(payload);
}

// A server may close the connection meanwhile.
void BareClient::SendBytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

std::string Framed(std::string_view message) {
  constexpr int kNotCompressed = 0;
  return BigEndian(kNotCompressed, 1) + BigEndian(message.size(), 4) + std::string(message);
}

}  // namespace tconv::testing
