// Connections that others cannot read, and servers and clients that insist on them.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>
#include <tconv/credentials.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/access_rules.h"
#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

// Certificates as an operator would make them to try TLS.
class Certificates {
 public:
  Certificates() { Make(); }

  // All anew, of another authority.
  void Replace() {
    std::filesystem::remove(folder_.path() / "ca.key");
    Make();
  }

  std::string operator/(const std::string& name) const { return folder_ / name; }

  server::TlsFiles OfServer() const { return {folder_ / "server.crt", folder_ / "server.key", ""}; }

 private:
  void Make() {
    const std::string command = fmt::format("{} {}", TCONV_DEV_CERTS, folder_.path().string());
    EXPECT_EQ(std::system(command.c_str()), 0);
  }

  const TempFolder folder_;
};

class TlsTest : public ::testing::Test {
 protected:
  void Start(const server::TlsFiles& files) {
    server::ServerOptions options;
    options.grpc.tls = files;
    server_ = TestServer::Start(options);
  }

  Client ClientWith(const TlsFiles& files) const {
    auto credentials = TlsCredentials(files);
    EXPECT_THAT(credentials, IsOk());
    return Client(server_->target(),
                  {.credentials = *std::move(credentials), .retry = {.attempts = 1}});
  }
  Client ClientThatTrusts(const std::string& ca) const { return ClientWith({.ca = ca}); }

  Certificates certificates_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(TlsTest, CallsOfEveryKindWork) {
  Start(certificates_.OfServer());
  const Client client = ClientThatTrusts(certificates_ / "ca.crt");
  ASSERT_THAT(client.Create(SmallLayer("up", 1)), IsOk());
  EXPECT_THAT(client.Forward("up", SmallInput()), IsOk());
  EXPECT_THAT(client.Forward("up", SmallInput(), {.transfer = Transfer::kStream}), IsOk());
  EXPECT_THAT(client.GetWeights("up"), IsOk());
}

TEST_F(TlsTest, WithoutTlsThereIsNoConnection) {
  Start(certificates_.OfServer());
  const Client client(server_->target(), {.retry = {.attempts = 1}});
  EXPECT_THAT(client.CheckHealth(), StatusIs(StatusCode::kUnavailable));
}

TEST_F(TlsTest, AServerThatNobodyVouchesForIsNotTrusted) {
  Start(certificates_.OfServer());
  const Certificates others;
  EXPECT_THAT(ClientThatTrusts(others / "ca.crt").CheckHealth(),
              StatusIs(StatusCode::kUnavailable));
}

TEST_F(TlsTest, ClientsProveWhoTheyAreWhereTheServerAsks) {
  server::TlsFiles files = certificates_.OfServer();
  files.client_ca = certificates_ / "ca.crt";
  Start(files);
  const Certificates others;
  EXPECT_THAT(ClientThatTrusts(certificates_ / "ca.crt").CheckHealth(),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(ClientWith({certificates_ / "ca.crt", others / "client.crt", others / "client.key"})
                  .CheckHealth(),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(ClientWith({certificates_ / "ca.crt", certificates_ / "client.crt",
                          certificates_ / "client.key"})
                  .CheckHealth(),
              IsOk());
}

TEST_F(TlsTest, NewCertificatesAreServedWithoutARestart) {
  Start(certificates_.OfServer());
  const Client before = ClientThatTrusts(certificates_ / "ca.crt");
  ASSERT_THAT(before.CheckHealth(), IsOk());
  certificates_.Replace();
  while (!ClientThatTrusts(certificates_ / "ca.crt").CheckHealth().ok()) {
  }
  // Connections stay.
  EXPECT_THAT(before.CheckHealth(), IsOk());
}

TEST_F(TlsTest, FilesThatDoNotWorkAreNoServer) {
  const Certificates others;
  WriteFile(certificates_ / "empty", "");
  const struct {
    const char* what;
    std::vector<std::string> arguments;
    const char* message;
    int code;
  } kCases[] = {
      {"a key alone", {"--tls-key=" + (certificates_ / "server.key")}, "tls-key: ", 2},
      {"a client CA alone",
       {"--tls-client-ca=" + (certificates_ / "ca.crt")},
       "tls-client-ca: ",
       2},
      {"no such file",
       {"--tls-cert=" + (certificates_ / "none"), "--tls-key=" + (certificates_ / "server.key")},
       "tls-cert: ",
       1},
      {"no certificate",
       {"--tls-cert=" + (certificates_ / "empty"), "--tls-key=" + (certificates_ / "server.key")},
       "tls-cert: ",
       1},
      {"the key of another",
       {"--tls-cert=" + (certificates_ / "server.crt"), "--tls-key=" + (others / "server.key")},
       "tls-key: ",
       1},
      {"no authority",
       {"--tls-cert=" + (certificates_ / "server.crt"),
        "--tls-key=" + (certificates_ / "server.key"),
        "--tls-client-ca=" + (certificates_ / "empty")},
       "tls-client-ca: ",
       1},
  };
  for (const auto& test : kCases) {
    std::vector<std::string> arguments = {"--store=memory:"};
    arguments.insert(arguments.end(), test.arguments.begin(), test.arguments.end());
    ServerProcess server(arguments);
    EXPECT_EQ(server.Wait(), test.code) << test.what;
    EXPECT_THAT(server.log(), HasSubstr(test.message)) << test.what;
  }
}

TEST(ExposureTest, BeyondLoopbackTheServerWantsTlsUnlessToldOtherwise) {
  {
    ServerProcess server({"--store=memory:", "--listen=0.0.0.0:0"});
    EXPECT_EQ(server.Wait(), 2);
    EXPECT_THAT(server.log(), HasSubstr("listen: "));
    EXPECT_THAT(server.log(), HasSubstr("allow-plaintext"));
  }
  const ServerProcess server({"--store=memory:", "--listen=127.0.0.2:0", "--allow-plaintext"});
  EXPECT_NE(server.target(), "");
}

TEST(TlsFilesTest, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(TlsCredentials({.ca = "/no/such/file"}),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("/no/such/file")));
  EXPECT_THAT(TlsCredentials({.certificate = "/x"}), StatusIs(StatusCode::kInvalidArgument));
}

TEST(TokenInPlainTextTest, StaysOnThisMachineUnlessAllowedByName) {
  // Nobody is there: a call that is tried is UNAVAILABLE.
  const Client far("192.0.2.1:1", {.timeout = std::chrono::milliseconds(50), .token = "t"});
  EXPECT_THAT(far.CheckHealth(),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("plain text")));
  const Client allowed(
      "192.0.2.1:1",
      {.timeout = std::chrono::milliseconds(50), .token = "t", .allow_plaintext_token = true});
  EXPECT_THAT(allowed.CheckHealth(), Not(StatusIs(StatusCode::kFailedPrecondition)));
  const Client near("127.0.0.1:1", {.token = "t", .retry = {.attempts = 1}});
  EXPECT_THAT(near.CheckHealth(), StatusIs(StatusCode::kUnavailable));
}

TEST(TokenFileTest, ANewTokenInTheFileIsSentBeforeLong) {
  const TempFolder folder;
  WriteFile(folder / "access", AccessFile("", TokenEntry("a", R"("role": "admin")")));
  server::ServerOptions options;
  options.access_file = folder / "access";
  const auto server = TestServer::Start(options);
  const Client client(server->target(), {.token_file = folder / "token"});
  EXPECT_THAT(client.Get("up"), StatusIs(StatusCode::kInvalidArgument, HasSubstr("token")));
  WriteFile(folder / "token", "b\n");
  EXPECT_THAT(client.Get("up"), StatusIs(StatusCode::kUnauthenticated));
  WriteFile(folder / "token", "a\n");
  while (client.Get("up").status().code() == StatusCode::kUnauthenticated) {
  }
  EXPECT_THAT(client.Get("up"), StatusIs(StatusCode::kNotFound));
}

}  // namespace
}  // namespace tconv::testing
