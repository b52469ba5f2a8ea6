// The memory of another process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace tconv::testing {

// A line of /proc/PID/status in bytes: "VmRSS" for what it has in memory now,
// "VmHWM" for the most it ever had. 0 when there is no such line.
inline int64_t MemoryOf(pid_t pid, const std::string& key) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;) {
    int64_t kib = 0;
    if (word == key + ":" && file >> kib) return kib * 1024;
  }
  return 0;
}

// From here on VmHWM is the peak of what follows.
inline void ForgetPeak(pid_t pid) {
  std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << "5";
}

}  // namespace tconv::testing
