// Where Prometheus and people look.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"

struct mg_connection;
struct mg_context;

namespace tconv::server {

// The part of an address behind its "?".
class HttpQuery {
 public:
  explicit HttpQuery(std::string text) : text_(std::move(text)) {}

  // Decoded; empty when it is not given.
  std::string Value(const std::string& name) const;

 private:
  std::string text_;
};

// What is answered to GET and HEAD of one path.
struct HttpPage {
  std::string path;  // such as "/metrics"
  std::string content_type;
  // Called for each request, on any thread. INVALID_ARGUMENT is the fault of who asks.
  std::function<StatusOr<std::string>(const HttpQuery&)> body;
};

// Answers HTTP from Start() until it is destroyed, to everybody who reaches the
// address. Pages may show what anybody has named: scripts and styles come from
// other pages of this endpoint, never from within a page.
class HttpEndpoint {
 public:
  // `address` is "ip:port", of IPv4; port 0 takes a free one. What `pages` read must
  // outlive the endpoint. INVALID_ARGUMENT about metrics-listen for another form;
  // UNAVAILABLE when it cannot be listened on.
  static StatusOr<std::unique_ptr<HttpEndpoint>> Start(const std::string& address,
                                                       std::vector<HttpPage> pages);
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  // As given, with the port that was bound in the place of 0.
  const std::string& address() const { return address_; }

 private:
  explicit HttpEndpoint(std::vector<HttpPage> pages) : pages_(std::move(pages)) {}

  static int AnswerRequest(mg_connection* connection);
  void Answer(mg_connection* connection) const;

  const std::vector<HttpPage> pages_;
  mg_context* server_ = nullptr;
  std::string address_;
};

}  // namespace tconv::server
