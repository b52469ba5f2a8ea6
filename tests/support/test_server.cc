#include "tests/support/test_server.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <utility>

namespace tconv::testing {

server::ServerOptions DefaultOptions() { return {}; }

std::unique_ptr<TestServer> TestServer::Start(server::ServerOptions options) {
  // A test says itself what went wrong.
  spdlog::set_level(spdlog::level::off);
  options.grpc.addresses = {"127.0.0.1:0"};
  if (options.store.empty()) options.store = "memory:";
  auto app = server::App::Start(options);
  if (!app.ok()) {
    ADD_FAILURE() << "the server does not start: " << app.status();
    std::abort();
  }
  return std::unique_ptr<TestServer>(new TestServer(*std::move(app)));
}

}  // namespace tconv::testing
