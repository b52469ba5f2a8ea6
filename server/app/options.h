// What an operator can say to the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "server/access/access_rules.h"
#include "server/base/log.h"
#include "server/base/status.h"
#include "server/host/admission_queue.h"
#include "server/host/layer_host.h"
#include "server/host/shared_memory.h"
#include "server/rpc/call_telemetry.h"
#include "server/rpc/grpc_server.h"

namespace tconv::server {

// Defaults are those of the command line, except where they depend on the
// machine: there 0 or an empty text stands for them.
struct ServerOptions {
  GrpcServerOptions grpc;
  std::string store;              // "sqlite:/path" or "memory:"; empty: DefaultStore()
  std::string preload;            // folder of model files; empty: none
  std::string strategy = "auto";  // or the only one that may compute
  int compute_threads = 0;        // 0: the processors that the process may use
  int64_t plan_cache_bytes = int64_t{1} << 30;
  std::string access_file;  // as ParseAccessFile(); empty: everybody may do everything
  int64_t max_calls_per_second = kNoLimit;
  // For a request, or the next message of a stream, to arrive or be taken.
  std::chrono::seconds request_arrival{120};
  AdmissionLimits admission = {.handler_threads = 0};  // 0: compute threads + 6
  HostLimits host;
  std::string shared_memory_socket;  // path; empty: no shared memory
  SharedMemoryLimits shared_memory;
  std::string metrics_address;  // ip:port; empty: nobody can ask for the metrics
  CallTelemetryOptions call_telemetry;
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kText;
  // Where health alone is answered, always in plain text; empty: nowhere.
  std::vector<std::string> probe_addresses;
  std::chrono::seconds drain_delay{0};
  std::chrono::seconds drain_limit{30};
};

// The file in $XDG_STATE_HOME or ~/.local/state, as the desktop's conventions
// have it. FAILED_PRECONDITION when the environment knows neither.
StatusOr<std::string> DefaultStore();

// Text that the command line asks for in the place of a server.
struct TextToPrint {
  std::string text;
};
using CommandLine = std::variant<ServerOptions, TextToPrint>;

// Values come from the command line, else from the file that --config names,
// else from the environment, else they are the defaults. INVALID_ARGUMENT for
// unknown names, also in the file, and for values out of range.
StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace tconv::server
