#include "server/app/process.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <spdlog/spdlog.h>

#include <string>

#include "server/app/drain.h"
#include "server/base/log.h"

namespace tconv::server {
namespace {

// Keeps freed memory in the process. glibc would give every large block back to
// the kernel and fault its pages in again for the next tensor.
void TuneAllocator() {
#if defined(__GLIBC__)
  // 32 MiB is the largest threshold that glibc accepts for its heap.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

// The lines of the libraries join the server's log as debug lines: what matters
// of them comes back as a status and is told where it is handled.
void RouteLibraryLogs() {
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function([](gpr_log_func_args* line) { spdlog::debug("grpc: {}", line->message); });
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& message) {
        spdlog::debug("protobuf: {}", message);
      });
}

}  // namespace

Status SetUpProcess(const ServerOptions& options) {
  HoldTerminationSignals();
  TuneAllocator();
  TCONV_RETURN_IF_ERROR(SetUpLog(options.log_format, options.log_level));
  RouteLibraryLogs();
  return OkStatus();
}

}  // namespace tconv::server
