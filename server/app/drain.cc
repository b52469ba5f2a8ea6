#include "server/app/drain.h"

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <thread>

namespace tconv::server {
namespace {

// For calls that pass no queue, as those of reflection: some never end.
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
  spdlog::info("signal {}: ending", first);
  std::thread([] { std::_Exit(128 + WaitForSignal()); }).detach();
  return first;
}

Status Drain(const DrainParts& parts, std::chrono::seconds delay, std::chrono::seconds limit) {
  parts.health.StopServing();
  std::this_thread::sleep_for(delay);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  parts.server.StopTaking();
  for (AdmissionQueue* queue : parts.queues) queue->Close();
  for (AdmissionQueue* queue : parts.queues) {
    if (!queue->WaitUntilIdle(deadline)) {
      return MakeError(StatusCode::kDeadlineExceeded, "calls did not finish within {} s",
                       limit.count());
    }
  }
  parts.health.EndWatches();
  parts.server.Shutdown(kFarewell);
  spdlog::info("all calls are finished");
  return OkStatus();
}

}  // namespace tconv::server
