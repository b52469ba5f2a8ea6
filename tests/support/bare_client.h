// A client that speaks HTTP/2 by hand, to do what a library never would: it does
// not answer, does not read, and vanishes without a word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tconv::testing {

// One connection with one call on it. Grants the server all the room it could
// ask for, then reads nothing unless told to.
class BareClient {
 public:
  // Begins a call of `method`, "/package.Service/Method", on the server at
  // `target`, an address of IPv4 with a port.
  BareClient(const std::string& target, std::string_view method);
  // The connection is closed, and nothing is said before.
  ~BareClient();
  BareClient(const BareClient&) = delete;
  BareClient& operator=(const BareClient&) = delete;

  // Sends these bytes of the call, which may be less than a message and are
  // fewer than what a server takes without being asked: 64 KiB.
  void Send(std::string_view bytes);
  // `payload` has 8 bytes, and the server answers with the same.
  void SendPing(std::string_view payload);

  // Reads until the server has answered that ping, or has asked so often for a
  // sign of life and was given it. False when the connection ends before,
  // or nothing comes for 20 s.
  bool AwaitPong(std::string_view payload);
  bool AnswerPings(int count);
  // Everything that the server says until it closes the connection.
  std::string ReadToEnd();

 private:
  struct Frame {
    uint8_t type = 0;
    uint8_t flags = 0;
    std::string payload;
  };

  // Empty at the end of the connection.
  std::string ReadBytes(size_t count);
  std::optional<Frame> ReadFrame();
  void SendFrame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
  void SendBytes(std::string_view bytes);

  int socket_ = -1;
};

// A message as it is part of a call's bytes.
std::string Framed(std::string_view message);

}  // namespace tconv::testing
