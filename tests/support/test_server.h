// A whole server inside the test's process.
#pragma once

#include <memory>
#include <string>

#include "server/app/app.h"
#include "server/app/options.h"

namespace tconv::testing {

// Those of the command line.
server::ServerOptions DefaultOptions();

// Serves on a free port of loopback until it is destroyed.
class TestServer {
 public:
  // Without a store in `options`, layers live in memory. The addresses in
  // `options` are not used. Fails the test, and ends the process, when the
  // server does not start.
  static std::unique_ptr<TestServer> Start(server::ServerOptions options = DefaultOptions());

  // What tconv::Client takes.
  const std::string& target() const { return app_->addresses().front(); }
  server::App& app() { return *app_; }

 private:
  explicit TestServer(std::unique_ptr<server::App> app) : app_(std::move(app)) {}

  std::unique_ptr<server::App> app_;
};

}  // namespace tconv::testing
