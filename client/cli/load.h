// Many calls of Forward, counted and timed.
#pragma once

#include <absl/status/status.h>
#include <tconv/client.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tconv::cli {

// What is called, and how often.
struct Load {
  std::string layer = {};
  Tensor input = {};
  Transfer transfer = Transfer::kAutomatic;
  // Calls in flight at any time.
  int concurrency = 1;
  // Exactly one of them says when it ends.
  std::optional<int64_t> requests = {};
  std::optional<std::chrono::duration<double>> duration = {};
};

// What became of the calls. Times in seconds.
struct LoadResult {
  std::vector<double> latencies = {};      // of the calls that succeeded, ascending
  std::vector<ServerTiming> timings = {};  // of those for which the server tells
  std::map<absl::StatusCode, int64_t> errors = {};
  std::optional<absl::Status> first_error = {};
  int64_t bytes_received = 0;
  double seconds = 0;
};

// Called while calls are made, with the share of the load that is done, from 0
// to 1. From any thread.
using LoadObserver = std::function<void(double share)>;

// Makes the calls, each of the concurrent ones on a thread of its own, and waits
// for all of them. Calls that fail are counted and not repeated here.
LoadResult RunLoad(const Client& client, const Load& load, const LoadObserver& observer);

}  // namespace tconv::cli
