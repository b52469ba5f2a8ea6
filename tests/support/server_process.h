// The real tconv-server as a process of its own.
#pragma once

#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace tconv::testing {

// One run of tconv-server. It is killed at the end if it still runs.
class ServerProcess : public ChildProcess {
 public:
  // Starts the server with these arguments, on a free port of loopback unless
  // they say where, and waits until it listens or has ended. The environment is
  // the test's with `variables`.
  explicit ServerProcess(std::vector<std::string> arguments,
                         std::vector<std::string> variables = {});

  // What tconv::Client takes; empty when the server has not started.
  const std::string& target() const { return target_; }

 private:
  std::string target_;
};

}  // namespace tconv::testing
