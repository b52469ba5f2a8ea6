#include "server/app/cpu_limit.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>

namespace tconv::server {
namespace {

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

int CpusOfAffinityMask() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return CPU_COUNT(&mask);
  // More processors than the mask has room for.
  return static_cast<int>(std::thread::hardware_concurrency());
}

std::string FirstLine(const std::filesystem::path& file) {
  std::string line;
  std::ifstream stream(file);
  std::getline(stream, line);
  return line;
}

// "max 100000" or "150000 100000": time per period, both in microseconds.
double QuotaV2(const std::filesystem::path& group) {
  std::istringstream line(FirstLine(group / "cpu.max"));
  double quota = 0;
  double period = 0;
  return line >> quota >> period && period > 0 ? quota / period : kNoQuota;
}

// The quota is -1 when there is none.
double QuotaV1(const std::filesystem::path& group) {
  std::istringstream quota_line(FirstLine(group / "cpu.cfs_quota_us"));
  std::istringstream period_line(FirstLine(group / "cpu.cfs_period_us"));
  double quota = 0;
  double period = 0;
  const bool has_quota = quota_line >> quota && period_line >> period && quota > 0 && period > 0;
  return has_quota ? quota / period : kNoQuota;
}

// The least quota of a group and those above it. Inside a container the path
// may name groups that only the host sees; the mount point is the container's.
template <typename QuotaOf>
double LeastQuota(const std::filesystem::path& mount, const std::filesystem::path& group,
                  QuotaOf quota_of) {
  double least = quota_of(mount);
  std::filesystem::path path = mount;
  for (const auto& part : group.relative_path()) {
    path /= part;
    least = std::min(least, quota_of(path));
  }
  return least;
}

// Lines are "0::/path" for version 2 and "4:cpu,cpuacct:/path" for version 1.
double CgroupQuota(const std::filesystem::path& root) {
  const std::filesystem::path mount = root / "sys/fs/cgroup";
  double least = kNoQuota;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      // Beside version 1, version 2 has a mount of its own.
      least = std::min(least, LeastQuota(mount, group, QuotaV2));
      least = std::min(least, LeastQuota(mount / "unified", group, QuotaV2));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      least = std::min(least, LeastQuota(mount / "cpu", group, QuotaV1));
    }
  }
  return least;
}

}  // namespace

int UsableCpus(const std::filesystem::path& root) {
  const double cpus = std::min<double>(CpusOfAffinityMask(), CgroupQuota(root));
  return std::max(1, static_cast<int>(std::ceil(cpus)));
}

}  // namespace tconv::server
