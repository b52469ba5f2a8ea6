// From a signal to a clean end.
#pragma once

#include <chrono>
#include <vector>

#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/rpc/grpc_server.h"

namespace tconv::server {

// Lets SIGTERM and SIGINT wait for AwaitTermination(), also when the process is
// the first of a container, for which they otherwise do nothing; ignores
// SIGPIPE. Call it before any thread starts.
void HoldTerminationSignals();

// Waits for SIGTERM or SIGINT and returns its number. From then on another one
// ends the process at once with code 128 + its number.
// REQUIRES: HoldTerminationSignals().
int AwaitTermination();

// Tells the health checks first, refuses new calls, lets those in `queues`
// finish and deliver their answers, and shuts the server down.
// DEADLINE_EXCEEDED when calls are still in the house after `limit`; then the
// server is left running.
Status Drain(GrpcServer& server, const std::vector<AdmissionQueue*>& queues,
             std::chrono::seconds limit);

}  // namespace tconv::server
