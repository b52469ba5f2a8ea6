#include "server/app/drain.h"

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <thread>

namespace tconv::server {
namespace {

// For the last words: those who watch the health hear that it is over, those who
// call too late are refused. Such watchers never end their streams themselves.
constexpr std::chrono::milliseconds kFarewell(200);

sigset_t TerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

int WaitForSignal() {
  const sigset_t signals = TerminationSignals();
  int number = 0;
  sigwait(&signals, &number);
  return number;
}

}  // namespace

void HoldTerminationSignals() {
  const sigset_t signals = TerminationSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int AwaitTermination() {
  const int first = WaitForSignal();
  spdlog::info("signal {}: finishing the calls that run", first);
  std::thread([] { std::_Exit(128 + WaitForSignal()); }).detach();
  return first;
}

Status Drain(GrpcServer& server, const std::vector<AdmissionQueue*>& queues,
             std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  server.StopServing();
  for (AdmissionQueue* queue : queues) queue->Close();
  for (AdmissionQueue* queue : queues) {
    if (!queue->WaitUntilIdle(deadline)) {
      return MakeError(StatusCode::kDeadlineExceeded, "calls did not finish within {} s",
                       limit.count());
    }
  }
  server.Shutdown(kFarewell);
  spdlog::info("all calls are finished");
  return OkStatus();
}

}  // namespace tconv::server
