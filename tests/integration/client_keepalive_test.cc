#include <gtest/gtest.h>
#include <signal.h>
#include <tconv/client.h>

#include <chrono>

#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

using std::chrono::milliseconds;

// The kernel still acknowledges what a stopped process does not read, and takes
// some of what is sent to it.
TEST(ClientKeepaliveTest, ACallEndsWhenTheServerIsStopped) {
  ServerProcess server({"--store=memory:"});
  const Tensor large = Filled({64, 256, 256, 3}, 1);
  for (const Transfer transfer : {Transfer::kMessage, Transfer::kStream}) {
    const Client client(server.target(), {.timeout = milliseconds(0),
                                          .retry = {.attempts = 1},
                                          .keepalive_time = milliseconds(100),
                                          .keepalive_timeout = milliseconds(100)});
    ASSERT_THAT(client.CheckHealth(), IsOk());
    server.Signal(SIGSTOP);
    EXPECT_THAT(client.Forward("up", large, {.transfer = transfer}),
                StatusIs(absl::StatusCode::kUnavailable));
    server.Signal(SIGCONT);
  }
}

}  // namespace
}  // namespace tconv::testing
