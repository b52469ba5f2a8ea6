#include "server/telemetry/process_metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <regex>
#include <string>

namespace tconv::server {
namespace {

double ValueOf(const std::string& text, const std::string& name) {
  std::smatch match;
  return std::regex_search(text, match, std::regex("\n" + name + " ([0-9.e+]+)\n"))
             ? std::stod(match[1])
             : -1;
}

TEST(ProcessMetricsTest, TellWhatTheKernelKnows) {
  Metrics metrics;
  AddProcessMetrics(metrics);
  const std::string text = metrics.Text();
  EXPECT_GT(ValueOf(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(ValueOf(text, "process_virtual_memory_bytes"),
            ValueOf(text, "process_resident_memory_bytes"));
  EXPECT_GE(ValueOf(text, "process_threads"), 1);
  EXPECT_GE(ValueOf(text, "process_open_fds"), 3);
  EXPECT_GE(ValueOf(text, "process_max_fds"), ValueOf(text, "process_open_fds"));
  EXPECT_NEAR(ValueOf(text, "process_start_time_seconds"), static_cast<double>(std::time(nullptr)),
              600);
}

TEST(ProcessMetricsTest, OpenFilesAreCounted) {
  Metrics metrics;
  AddProcessMetrics(metrics);
  const double before = ValueOf(metrics.Text(), "process_open_fds");
  const int copy = dup(STDERR_FILENO);
  EXPECT_EQ(ValueOf(metrics.Text(), "process_open_fds"), before + 1);
  close(copy);
}

}  // namespace
}  // namespace tconv::server
