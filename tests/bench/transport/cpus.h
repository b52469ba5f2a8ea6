// Servers and their callers on processors of their own.
//
// Where both may run anywhere, the scheduler puts them on one processor for some
// connections and on two for others, and the time of a short call differs by half.
#pragma once

#include <sched.h>
#include <unistd.h>

namespace tconv::bench {

enum class CpuPart { kAll, kServers, kCallers };

// From now on this thread, and what it starts, runs on the first half of the
// processors, on the others, or on all. On a single one nothing changes.
inline void RunOn(CpuPart part) {
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  const long middle = count / 2;
  if (middle == 0) return;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (long cpu = 0; cpu < count; ++cpu) {
    const CpuPart half = cpu < middle ? CpuPart::kServers : CpuPart::kCallers;
    if (part == CpuPart::kAll || part == half) CPU_SET(static_cast<size_t>(cpu), &cpus);
  }
  sched_setaffinity(0, sizeof(cpus), &cpus);
}

}  // namespace tconv::bench
