#include "server/telemetry/http_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/http_get.h"
#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::HttpAsk;
using testing::HttpConnection;
using testing::HttpGet;
using testing::IsOk;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;
using testing::StatusIs;

// Says hello to ?name=, refuses some.
StatusOr<std::string> Greet(const HttpQuery& query) {
  const std::string name = query.Value("name");
  if (name == "nobody") return InvalidField("name", "expected somebody");
  if (name == "moon") return MakeError(StatusCode::kUnavailable, "too far away");
  return "hello " + name;
}

class HttpEndpointTest : public ::testing::Test {
 protected:
  static StatusOr<std::unique_ptr<HttpEndpoint>> Start(const std::string& address) {
    return HttpEndpoint::Start(address, {{"/", "text/html", Greet}, {"/hi", "text/plain", Greet}});
  }

  // One for all tests: the library takes seconds to end.
  static HttpEndpoint& Endpoint() {
    static const std::unique_ptr<HttpEndpoint> endpoint = *Start("127.0.0.1:0");
    return *endpoint;
  }

  const std::string address_ = Endpoint().address();
};

TEST_F(HttpEndpointTest, ListensWhereItIsTold) {
  EXPECT_THAT(address_, MatchesRegex("127.0.0.1:[1-9][0-9]*"));
  EXPECT_THAT(Start(address_), StatusIs(StatusCode::kUnavailable, HasSubstr(address_)))
      << "somebody listens there";
}

TEST_F(HttpEndpointTest, AnAddressThatIsNoneIsRefused) {
  for (const char* address : {"", "9464", "127.0.0.1", "127.0.0.1:1,127.0.0.1:2", "[::1]:9464"}) {
    EXPECT_THAT(Start(address), StatusIs(StatusCode::kInvalidArgument, HasSubstr("metrics-listen")))
        << address;
  }
  EXPECT_THAT(Start("192.0.2.1:9464"), StatusIs(StatusCode::kUnavailable));
}

TEST_F(HttpEndpointTest, AnswersEachPageWithItsType) {
  EXPECT_THAT(HttpGet(address_, "/hi"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                    HasSubstr("\r\nContent-Type: text/plain\r\n"), HasSubstr("\r\n\r\nhello ")));
  EXPECT_THAT(HttpGet(address_, "/"), HasSubstr("\r\nContent-Type: text/html\r\n"));
}

TEST_F(HttpEndpointTest, AllowsNoScriptsAndStylesButItsOwn) {
  EXPECT_THAT(HttpGet(address_, "/"),
              AllOf(HasSubstr("\r\nContent-Security-Policy: default-src 'none'; script-src 'self'; "
                              "style-src 'self';"),
                    HasSubstr("frame-ancestors 'none'"),
                    HasSubstr("\r\nX-Content-Type-Options: nosniff\r\n")));
}

TEST_F(HttpEndpointTest, DecodesWhatIsAsked) {
  const struct {
    const char* query;
    const char* greeting;
  } kCases[] = {
      {"?name=you", "hello you"},     {"?a=b&name=a%20%26+b", "hello a & b"},
      {"?name=%3Cb%3E", "hello <b>"}, {"?name=", "hello "},
      {"?nam=e", "hello "},           {"?name=%", "hello "},
  };
  for (const auto& [query, greeting] : kCases) {
    EXPECT_THAT(testing::BodyOf(HttpGet(address_, std::string("/hi") + query)),
                StartsWith(greeting));
  }
}

TEST_F(HttpEndpointTest, ErrorsTellWhoseFaultTheyAre) {
  EXPECT_THAT(HttpGet(address_, "/hi?name=nobody"),
              AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("name: expected somebody")));
  EXPECT_THAT(HttpGet(address_, "/hi?name=moon"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("too far away")));
}

TEST_F(HttpEndpointTest, HeadHasNoBody) {
  EXPECT_THAT(HttpAsk(address_, "HEAD", "/hi?name=you"),
              AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("\r\nContent-Length: 9\r\n"),
                    Not(HasSubstr("hello"))));
}

TEST_F(HttpEndpointTest, WhatWouldChangeSomethingIsNotAllowed) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    EXPECT_THAT(HttpAsk(address_, method, "/hi"),
                AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET, HEAD\r\n")))
        << method;
  }
}

TEST_F(HttpEndpointTest, ThereIsNothingElse) {
  for (const char* path : {"/hi/there", "/etc/passwd", "/../../../etc/passwd",
                           "/%2e%2e/%2e%2e/etc/passwd", "/<script>alert(1)<!script>"}) {
    const std::string answer = HttpGet(address_, path);
    EXPECT_THAT(answer, MatchesRegex("HTTP/1.1 40[04] (.|\r|\n)*")) << path;
    EXPECT_THAT(answer, AllOf(Not(HasSubstr("root:")), Not(HasSubstr("<script>")))) << path;
  }
}

TEST_F(HttpEndpointTest, WhatIsNotHttpIsCutOff) {
  for (const std::string& request :
       {std::string("hello\r\n\r\n"), std::string(1 << 20, 'x'), std::string(100, '\0'),
        "GET /hi?name=" + std::string(1 << 20, 'x') + " HTTP/1.0\r\n\r\n"}) {
    const HttpConnection connection(address_);
    connection.Send(request);
    EXPECT_THAT(connection.Receive(), Not(HasSubstr(" 200 ")));
  }
  EXPECT_THAT(HttpGet(address_, "/hi"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpEndpointTest, WhoSaysNothingKeepsNobodyElseWaiting) {
  std::vector<std::unique_ptr<HttpConnection>> silent;
  for (int i = 0; i < 5; ++i) {
    silent.push_back(std::make_unique<HttpConnection>(address_));
    silent.back()->Send("GET /hi HTT");
  }
  EXPECT_THAT(HttpGet(address_, "/hi"), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace tconv::server
