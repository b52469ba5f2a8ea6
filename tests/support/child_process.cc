#include "tests/support/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace tconv::testing {
namespace {

// What the kernel takes: pointers with a null at the end. Valid as long as `texts`.
std::vector<char*> PointersTo(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The variables that are given come first, and so they count.
std::vector<std::string> WithEnvironment(std::vector<std::string> variables) {
  for (char** variable = environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> arguments, std::vector<std::string> variables) {
  std::array<int, 2> output{};
  log_ = memfd_create("child.log", MFD_CLOEXEC);
  if (log_ < 0 || pipe2(output.data(), O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe for " << arguments.front();
    return;
  }
  std::vector<std::string> environment = WithEnvironment(std::move(variables));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log_, STDERR_FILENO);
  if (posix_spawnp(&pid_, arguments.front().c_str(), &actions, nullptr,
                   PointersTo(arguments).data(), PointersTo(environment).data()) != 0) {
    ADD_FAILURE() << "cannot run " << arguments.front();
    pid_ = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  close(output[1]);
  output_ = output[0];
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  close(output_);
  close(log_);
}

std::string ChildProcess::ReadLine() const {
  std::string line;
  for (char c = 0; read(output_, &c, 1) == 1 && c != '\n';) line.push_back(c);
  return line;
}

void ChildProcess::Signal(int number) const { kill(pid_, number); }

int ChildProcess::Wait() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return -1;
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string ChildProcess::log() {
  std::string text;
  std::array<char, 4096> block{};
  lseek(log_, 0, SEEK_SET);
  for (ssize_t n = 0; (n = read(log_, block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<size_t>(n));
  }
  return text;
}

}  // namespace tconv::testing
