// The real tconv-server as a process of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tconv::testing {

// One run of tconv-server. It is killed at the end if it still runs.
class ServerProcess {
 public:
  // Starts the server with these arguments, on a free port of loopback, and
  // waits until it listens or has ended.
  explicit ServerProcess(std::vector<std::string> arguments);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // What tconv::Client takes; empty when the server has not started.
  const std::string& target() const { return target_; }

  pid_t pid() const { return pid_; }

  void Signal(int number) const;
  // Waits for its end. The exit code, or 128 + the number of the signal that
  // killed it.
  int Wait();
  // What it wrote to standard error. Call it after Wait().
  std::string log();

 private:
  pid_t pid_ = -1;
  int log_ = -1;  // an unnamed file
  std::string target_;
};

}  // namespace tconv::testing
