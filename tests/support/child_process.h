// A program that a test runs.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace tconv::testing {

// One run of a program. It is killed at the end if it still runs.
class ChildProcess {
 public:
  // Starts arguments[0], which the PATH tells if it has no slash, in the
  // environment of the test and these variables, each as "NAME=value".
  explicit ChildProcess(std::vector<std::string> arguments,
                        std::vector<std::string> variables = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  // The next line that it writes to standard output; empty when that has ended.
  std::string ReadLine() const;
  void Signal(int number) const;
  // Waits for its end. The exit code, or 128 + the number of the signal that
  // killed it.
  int Wait();
  // What it wrote to standard error. Call it after Wait().
  std::string log();

 private:
  pid_t pid_ = -1;
  int output_ = -1;  // a pipe
  int log_ = -1;     // an unnamed file
};

}  // namespace tconv::testing
