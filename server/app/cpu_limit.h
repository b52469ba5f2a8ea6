// How many processors this process may use.
#pragma once

#include <filesystem>

namespace tconv::server {

// The processors of the affinity mask, or fewer when the control groups of the
// process, version 1 or 2, have a CPU quota; a part of a processor counts as one.
// At least 1. `root` is where /proc and /sys are found.
int UsableCpus(const std::filesystem::path& root = "/");

}  // namespace tconv::server
