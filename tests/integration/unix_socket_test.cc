// gRPC over a Unix socket beside TCP.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <tconv/client.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

#include "proto/codec/segment_socket.h"
#include "server/app/app.h"
#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::HasSubstr;

class UnixSocketTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<server::App>> Start() const {
    server::ServerOptions options;
    options.grpc.addresses = {"127.0.0.1:0", address_};
    options.store = "memory:";
    return server::App::Start(options);
  }

  void Leave(int type) const {
    const auto address = *codec::SocketAddress(path_);
    const codec::FileDescriptor killed(socket(AF_UNIX, type, 0));
    ASSERT_EQ(bind(killed.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }

  const TempFolder folder_;
  const std::string path_ = folder_ / "tconv.sock";
  const std::string address_ = "unix:" + path_;
};

TEST_F(UnixSocketTest, ServesTheSameLayersOverTcpAndASocket) {
  const auto app = Start();
  ASSERT_THAT(app, IsOk());
  ASSERT_EQ((*app)->addresses().size(), 2u);
  EXPECT_EQ((*app)->addresses()[1], address_);
  const Client over_tcp((*app)->addresses()[0]);
  const Client over_socket(address_);
  ASSERT_THAT(over_tcp.Create(SmallLayer("up", 1)), IsOk());
  for (const Client& client : {over_tcp, over_socket}) {
    EXPECT_THAT(client.CheckHealth(), IsOk());
    const auto result = client.Forward("up", SmallInput());
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(*result->output.values<float>(), Each(3.0F));
  }
  auto first = over_tcp.ForwardAsync("up", SmallInput());
  auto second = over_socket.ForwardAsync("up", SmallInput());
  EXPECT_THAT(first.get(), IsOk());
  EXPECT_THAT(second.get(), IsOk());
}

TEST_F(UnixSocketTest, TheSocketIsRemovedAtTheEnd) {
  {
    const auto app = Start();
    ASSERT_THAT(app, IsOk());
    ASSERT_EQ(access(path_.c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixSocketTest, ASocketThatAKilledServerLeftIsReplaced) {
  Leave(SOCK_STREAM);
  const auto app = Start();
  ASSERT_THAT(app, IsOk());
  EXPECT_THAT(Client(address_).CheckHealth(), IsOk());
}

TEST_F(UnixSocketTest, AServerThatWasKilledCanBeStartedAgain) {
  const std::string memory_socket = folder_ / "memory.sock";
  for (int run = 0; run < 2; ++run) {
    ServerProcess process(
        {"--store=memory:", "--listen=" + address_, "--shared-memory-socket=" + memory_socket});
    ASSERT_NE(process.target(), "") << run;
    EXPECT_THAT(Client(address_).CheckHealth(), IsOk());
    process.Signal(SIGKILL);
    process.Wait();
    EXPECT_EQ(access(path_.c_str(), F_OK), 0);
    EXPECT_EQ(access(memory_socket.c_str(), F_OK), 0);
  }
}

TEST_F(UnixSocketTest, ASocketThatSomebodyListensOnIsLeftAlone) {
  const auto first = Start();
  EXPECT_THAT(Start(), StatusIs(StatusCode::kUnavailable, HasSubstr(path_)));
  EXPECT_THAT(Client(address_).CheckHealth(), IsOk());
}

TEST_F(UnixSocketTest, AnotherFileIsLeftAlone) {
  WriteFile(path_, "precious");
  EXPECT_THAT(Start(), StatusIs(StatusCode::kFailedPrecondition, HasSubstr(path_)));
  EXPECT_EQ(ReadFile(path_), "precious");
}

}  // namespace
}  // namespace tconv::testing
