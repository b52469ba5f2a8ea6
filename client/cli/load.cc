#include "client/cli/load.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <thread>
#include <utility>

namespace tconv::cli {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

// Hands out calls until the load is done. Thread-safe.
class Budget {
 public:
  Budget(const Load& load, const LoadObserver& observer)
      : requests_(load.requests), duration_(load.duration), observer_(observer) {}

  double elapsed() const { return duration<double>(steady_clock::now() - start_).count(); }

  bool TakeOne() {
    const int64_t taken = taken_.fetch_add(1);
    const double share = requests_ ? static_cast<double>(taken) / static_cast<double>(*requests_)
                                   : elapsed() / duration_->count();
    observer_(std::min(share, 1.0));
    // However short the time, there is something to tell.
    return share < 1 || taken == 0;
  }

 private:
  const std::optional<int64_t> requests_;
  const std::optional<duration<double>> duration_;
  const LoadObserver& observer_;
  const steady_clock::time_point start_ = steady_clock::now();
  std::atomic<int64_t> taken_ = 0;
};

LoadResult CallUntilDone(const Client& client, const Load& load, Budget& budget) {
  LoadResult result;
  while (budget.TakeOne()) {
    const auto start = steady_clock::now();
    const auto answer = client.Forward(load.layer, load.input, {.transfer = load.transfer});
    const duration<double> latency = steady_clock::now() - start;
    if (!answer.ok()) {
      ++result.errors[answer.status().code()];
      if (!result.first_error) result.first_error = answer.status();
      continue;
    }
    result.latencies.push_back(latency.count());
    if (answer->timing) result.timings.push_back(*answer->timing);
    result.bytes_received += static_cast<int64_t>(answer->output.bytes().size());
  }
  return result;
}

void Merge(LoadResult part, LoadResult& whole) {
  std::move(part.latencies.begin(), part.latencies.end(), std::back_inserter(whole.latencies));
  std::move(part.timings.begin(), part.timings.end(), std::back_inserter(whole.timings));
  for (const auto& [code, count] : part.errors) whole.errors[code] += count;
  if (!whole.first_error) whole.first_error = std::move(part.first_error);
  whole.bytes_received += part.bytes_received;
}

}  // namespace

LoadResult RunLoad(const Client& client, const Load& load, const LoadObserver& observer) {
  Budget budget(load, observer);
  std::vector<LoadResult> parts(static_cast<size_t>(load.concurrency));
  {
    std::vector<std::jthread> threads;
    for (LoadResult& part : parts) {
      threads.emplace_back([&] { part = CallUntilDone(client, load, budget); });
    }
  }
  LoadResult result;
  result.seconds = budget.elapsed();
  for (LoadResult& part : parts) Merge(std::move(part), result);
  std::sort(result.latencies.begin(), result.latencies.end());
  return result;
}

}  // namespace tconv::cli
