// What concerns the whole process.
#pragma once

#include "server/app/options.h"
#include "server/base/status.h"

namespace tconv::server {

// Sets up signals, allocator and log. To be called once, before threads start.
// INVALID_ARGUMENT for an unknown level of the log.
Status SetUpProcess(const ServerOptions& options);

}  // namespace tconv::server
