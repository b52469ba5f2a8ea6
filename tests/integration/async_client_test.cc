#include <gtest/gtest.h>
#include <tconv/client.h>

#include "tests/support/server_process.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"

namespace tconv::testing {
namespace {

// With the server in another process, this one has no other users of gRPC that
// would keep its threads alive.
TEST(AsyncClientTest, TheLastClientOfAProcessMayGoBeforeItsCallsEnd) {
  ServerProcess server({"--store=memory:"});
  ASSERT_THAT(Client(server.target()).Create(SmallLayer("up", 1)), IsOk());
  for (int i = 0; i < 200; ++i) {
    auto answer = Client(server.target()).ForwardAsync("up", SmallInput());
    ASSERT_THAT(answer.get(), IsOk());
  }
}

}  // namespace
}  // namespace tconv::testing
