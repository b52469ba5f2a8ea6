#include "tests/support/server_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace tconv::testing {
namespace {

constexpr std::string_view kListening = "listening on ";

// Up to a line break or the end of the stream.
std::string ReadLine(int descriptor) {
  std::string line;
  for (char c = 0; read(descriptor, &c, 1) == 1 && c != '\n';) line.push_back(c);
  return line;
}

}  // namespace

ServerProcess::ServerProcess(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {TCONV_SERVER_BINARY, "--listen=127.0.0.1:0"});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  std::array<int, 2> output{};
  log_ = memfd_create("tconv-server.log", MFD_CLOEXEC);
  if (log_ < 0 || pipe2(output.data(), O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe for the server";
    return;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log_, STDERR_FILENO);
  if (posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) {
    ADD_FAILURE() << "cannot run " << argv[0];
    pid_ = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  close(output[1]);
  if (const std::string line = ReadLine(output[0]); line.starts_with(kListening)) {
    target_ = line.substr(kListening.size());
  }
  close(output[0]);
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  close(log_);
}

void ServerProcess::Signal(int number) const { kill(pid_, number); }

int ServerProcess::Wait() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return -1;
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string ServerProcess::log() {
  std::string text;
  std::array<char, 4096> block{};
  lseek(log_, 0, SEEK_SET);
  for (ssize_t n = 0; (n = read(log_, block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<size_t>(n));
  }
  return text;
}

}  // namespace tconv::testing
