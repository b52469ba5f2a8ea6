#include "server/telemetry/process_metrics.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace tconv::server {
namespace {

// Fields of /proc/self/stat behind the name of the program, which may have spaces:
// from number 3 on, as proc(5) counts them.
enum Field : size_t { kThreads = 20, kStartTicks = 22, kVirtualBytes = 23, kResidentPages = 24 };

double FieldOfStat(Field field) {
  std::ifstream file("/proc/self/stat");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(end_of_name + 1));
  std::string value;
  for (size_t number = 3; number <= field; ++number) fields >> value;
  return value.empty() ? 0 : std::stod(value);
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

// Since the epoch.
double StartSeconds() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    double boot = 0;
    if (words >> key >> boot && key == "btime") {
      return boot + FieldOfStat(kStartTicks) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
  }
  return 0;
}

double OpenDescriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator entries("/proc/self/fd", error);
  if (error) return 0;
  // The iterator has one, too.
  return static_cast<double>(std::distance(begin(entries), end(entries))) - 1;
}

double MaxDescriptors() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

void AddProcessMetrics(Metrics& metrics) {
  if (!std::filesystem::exists("/proc/self/stat")) return;
  const auto page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
  metrics.AddCounter("process_cpu_seconds_total", "User and system time of the process.",
                     CpuSeconds);
  metrics.AddGauge("process_resident_memory_bytes", "Memory that is in RAM.",
                   [page_bytes] { return FieldOfStat(kResidentPages) * page_bytes; });
  metrics.AddGauge("process_virtual_memory_bytes", "Address space in use.",
                   [] { return FieldOfStat(kVirtualBytes); });
  metrics.AddGauge("process_threads", "Threads of the process.",
                   [] { return FieldOfStat(kThreads); });
  metrics.AddGauge("process_open_fds", "Open file descriptors.", OpenDescriptors);
  metrics.AddGauge("process_max_fds", "Most file descriptors that may be open.", MaxDescriptors);
  metrics.AddGauge("process_start_time_seconds", "When the process began, since the epoch.",
                   [seconds = StartSeconds()] { return seconds; });
}

}  // namespace tconv::server
