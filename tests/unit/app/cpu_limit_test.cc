#include "server/app/cpu_limit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "tests/support/temp_folder.h"

namespace tconv::server {
namespace {

// UsableCpus() of a machine with these files.
int CpusWith(const std::map<std::string, std::string>& files) {
  const testing::TempFolder root;
  for (const auto& [name, content] : files) {
    const std::filesystem::path path = root / name;
    std::filesystem::create_directories(path.parent_path());
    testing::WriteFile(path, content);
  }
  return UsableCpus(root / "");
}

constexpr char kCgroup[] = "proc/self/cgroup";

TEST(CpuLimitTest, WithoutControlGroupsTheAffinityMaskCounts) {
  EXPECT_GE(CpusWith({}), 1);
  EXPECT_EQ(CpusWith({}), CpusWith({{kCgroup, "0::/\n"}, {"sys/fs/cgroup/cpu.max", "max 100000"}}));
}

TEST(CpuLimitTest, AQuotaBelowOneProcessorCountsAsOne) {
  const struct {
    const char* what;
    std::map<std::string, std::string> files;
  } kCases[] = {
      {"version 2", {{kCgroup, "0::/\n"}, {"sys/fs/cgroup/cpu.max", "50000 100000\n"}}},
      {"version 2, in a group",
       {{kCgroup, "0::/a/b\n"}, {"sys/fs/cgroup/a/b/cpu.max", "50000 100000\n"}}},
      {"version 2, in the group above",
       {{kCgroup, "0::/a/b\n"},
        {"sys/fs/cgroup/a/cpu.max", "50000 100000\n"},
        {"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"}}},
      {"version 1",
       {{kCgroup, "5:memory:/x\n4:cpu,cpuacct:/a\n"},
        {"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n"},
        {"sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"}}},
      {"version 1, with a path of the host",
       {{kCgroup, "4:cpu,cpuacct:/docker/0123\n"},
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"},
        {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}},
  };
  for (const auto& test : kCases) EXPECT_EQ(CpusWith(test.files), 1) << test.what;
}

TEST(CpuLimitTest, AQuotaWithoutALimitChangesNothing) {
  EXPECT_EQ(CpusWith({{kCgroup, "4:cpu,cpuacct:/\n"},
                      {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                      {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}}),
            CpusWith({}));
}

}  // namespace
}  // namespace tconv::server
