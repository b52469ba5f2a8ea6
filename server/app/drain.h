// From a signal to a clean end.
#pragma once

#include <chrono>
#include <vector>

#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/rpc/grpc_server.h"
#include "server/rpc/server_health.h"

namespace tconv::server {

// Lets SIGTERM and SIGINT wait for AwaitTermination(), also when the process is
// the first of a container, for which they otherwise do nothing; ignores
// SIGPIPE. Call it before any thread starts.
void HoldTerminationSignals();

// Waits for SIGTERM or SIGINT and returns its number. From then on another one
// ends the process at once with code 128 + its number.
// REQUIRES: HoldTerminationSignals().
int AwaitTermination();

// What comes to its end.
struct DrainParts {
  ServerHealth& health;
  GrpcServer& server;
  std::vector<AdmissionQueue*> queues;
};

// Tells the health checks first and goes on taking calls for `delay`: balancers
// need some time to notice. Then sends clients elsewhere, takes no more calls,
// lets those that run finish and deliver their answers, and shuts the server
// down. DEADLINE_EXCEEDED when calls are still in the house after a further
// `limit`; then the server is left running.
Status Drain(const DrainParts& parts, std::chrono::seconds delay, std::chrono::seconds limit);

}  // namespace tconv::server
