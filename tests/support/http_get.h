// What an HTTP server answers, byte by byte.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace tconv::testing {

// A connection to "ip:port". The test fails when it cannot be made.
class HttpConnection {
 public:
  explicit HttpConnection(const std::string& address) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    const size_t colon = address.find(':');
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  }
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection() { close(socket_); }

  // The server may have closed the connection meanwhile.
  void Send(const std::string& text) const {
    (void)send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
  }

  // Everything until the server closes.
  std::string Receive() const {
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = read(socket_, buffer, sizeof(buffer))) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
    return answer;
  }

 private:
  const int socket_;
};

// The answer to a request without a body, head included.
inline std::string HttpAsk(const std::string& address, const std::string& method,
                           const std::string& path) {
  const HttpConnection connection(address);
  connection.Send(method + " " + path + " HTTP/1.0\r\n\r\n");
  return connection.Receive();
}

inline std::string HttpGet(const std::string& address, const std::string& path) {
  return HttpAsk(address, "GET", path);
}

// What comes behind the head of an answer.
inline std::string BodyOf(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "" : answer.substr(end + 4);
}

}  // namespace tconv::testing
