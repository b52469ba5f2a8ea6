#include "server/telemetry/http_endpoint.h"

#include <civetweb.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace tconv::server {
namespace {

// Of a request, and of the time between two parts of one.
constexpr char kLongestRequest[] = "8192";
constexpr char kLongestWaitMs[] = "10000";
// A scraper, some who look, and some who do not let go.
constexpr char kThreads[] = "8";

struct HttpStatus {
  int code;
  const char* reason;
};
constexpr HttpStatus kOk = {200, "OK"};
constexpr HttpStatus kBadRequest = {400, "Bad Request"};
constexpr HttpStatus kNotFound = {404, "Not Found"};
constexpr HttpStatus kMethodNotAllowed = {405, "Method Not Allowed"};
constexpr HttpStatus kServiceUnavailable = {503, "Service Unavailable"};

constexpr char kPlainText[] = "text/plain; charset=utf-8";

int Log(const mg_connection*, const char* message) {
  spdlog::debug("http: {}", message);
  return 1;
}

void Send(mg_connection* connection, HttpStatus status, const std::string& content_type,
          const std::string& body) {
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\n"
      "Content-Type: {}\r\n"
      "Content-Length: {}\r\n"
      "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
      "X-Content-Type-Options: nosniff\r\n"
      "Referrer-Policy: no-referrer\r\n"
      "Cache-Control: no-store\r\n"
      "{}Connection: close\r\n\r\n",
      status.code, status.reason, content_type, body.size(),
      status.code == kMethodNotAllowed.code ? "Allow: GET, HEAD\r\n" : "");
  mg_write(connection, head.data(), head.size());
  if (std::string_view(mg_get_request_info(connection)->request_method) == "HEAD") return;
  mg_write(connection, body.data(), body.size());
}

void SendError(mg_connection* connection, HttpStatus status, const std::string& message) {
  Send(connection, status, kPlainText, message + "\n");
}

}  // namespace

std::string HttpQuery::Value(const std::string& name) const {
  // Decoding makes nothing longer; the end takes a byte.
  std::string value(text_.size() + 1, '\0');
  const int size = mg_get_var(text_.data(), text_.size(), name.c_str(), value.data(), value.size());
  value.resize(static_cast<size_t>(std::max(size, 0)));
  return value;
}

StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(const std::string& address,
                                                            std::vector<HttpPage> pages) {
  const size_t colon = address.rfind(':');
  // The HTTP server of Debian knows no IPv6, and takes a list.
  if (colon == std::string::npos || address.find_first_of("[,") != std::string::npos) {
    return InvalidField("metrics-listen", "expected an IPv4 address and a port, got \"{}\"",
                        address);
  }
  auto endpoint = std::unique_ptr<HttpEndpoint>(new HttpEndpoint(std::move(pages)));
  mg_callbacks callbacks = {};
  callbacks.log_message = Log;
  callbacks.begin_request = AnswerRequest;
  const char* options[] = {
      "listening_ports", address.c_str(),      "num_threads",  kThreads, "max_request_size",
      kLongestRequest,   "request_timeout_ms", kLongestWaitMs, nullptr};
  endpoint->server_ = mg_start(&callbacks, endpoint.get(), options);
  mg_server_port port = {};
  if (endpoint->server_ == nullptr || mg_get_server_ports(endpoint->server_, 1, &port) != 1) {
    return MakeError(StatusCode::kUnavailable,
                     "cannot listen on {} for metrics: it is not an address of this machine, or in "
                     "use",
                     address);
  }
  endpoint->address_ = fmt::format("{}:{}", address.substr(0, colon), port.port);
  return endpoint;
}

HttpEndpoint::~HttpEndpoint() {
  if (server_ != nullptr) mg_stop(server_);
}

int HttpEndpoint::AnswerRequest(mg_connection* connection) {
  static_cast<const HttpEndpoint*>(mg_get_user_data(mg_get_context(connection)))
      ->Answer(connection);
  return kOk.code;  // nothing is left for the library to do
}

void HttpEndpoint::Answer(mg_connection* connection) const {
  const mg_request_info& request = *mg_get_request_info(connection);
  const std::string_view method = request.request_method;
  const auto page = std::find_if(pages_.begin(), pages_.end(), [&](const HttpPage& candidate) {
    return candidate.path == request.local_uri;
  });
  if (page == pages_.end()) return SendError(connection, kNotFound, "there is no such page");
  if (method != "GET" && method != "HEAD") {
    return SendError(connection, kMethodNotAllowed, "only to be looked at");
  }
  const char* query = request.query_string;
  const auto body = page->body(HttpQuery(query == nullptr ? "" : query));
  if (body.ok()) return Send(connection, kOk, page->content_type, *body);
  const bool is_fault_of_caller = body.status().code() == StatusCode::kInvalidArgument;
  SendError(connection, is_fault_of_caller ? kBadRequest : kServiceUnavailable,
            std::string(body.status().message()));
}

}  // namespace tconv::server
