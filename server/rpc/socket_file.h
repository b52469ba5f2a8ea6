// Files that Unix sockets listen at.
#pragma once

#include <string>

#include "server/base/status.h"

namespace tconv::server {

// Removes a socket that a process left behind when it was killed. Does nothing
// when there is no file. UNAVAILABLE: somebody listens there. FAILED_PRECONDITION:
// the file is something else.
Status RemoveStaleSocket(const std::string& path);

}  // namespace tconv::server
