#include "server/host/layer_updater.h"

#include <algorithm>
#include <utility>

namespace tconv::server {
namespace {

// One is not enough: weights of gigabytes would keep all others waiting.
constexpr int kThreads = 2;
constexpr std::chrono::milliseconds kFirstRetryDelay(500);
constexpr std::chrono::milliseconds kMostRetryDelay = std::chrono::seconds(10);

}  // namespace

LayerUpdater::LayerUpdater(Update update) : update_(std::move(update)) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Work(); });
}

LayerUpdater::~LayerUpdater() {
  {
    MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void LayerUpdater::Ask(std::shared_ptr<Layer> layer) {
  MutexLock lock(mutex_);
  const int64_t id = layer->id();
  tasks_.insert_or_assign(id, Task{std::move(layer), Clock::now(), kFirstRetryDelay});
  changed_.NotifyOne();
}

void LayerUpdater::Work() {
  MutexLock lock(mutex_);
  while (!is_stopping_) {
    const auto next = Earliest();
    if (next == tasks_.end()) {
      changed_.Wait(mutex_);
    } else if (next->second.due > Clock::now()) {
      const Clock::time_point due = next->second.due;
      changed_.WaitUntil(mutex_, due);
    } else {
      Task task = std::move(next->second);
      tasks_.erase(next);
      mutex_.unlock();
      const Status status = update_(*task.layer);
      mutex_.lock();
      if (!status.ok()) TryAgain(std::move(task));
    }
  }
}

LayerUpdater::Tasks::iterator LayerUpdater::Earliest() {
  return std::min_element(tasks_.begin(), tasks_.end(), [](const auto& left, const auto& right) {
    return left.second.due < right.second.due;
  });
}

void LayerUpdater::TryAgain(Task task) {
  task.due = Clock::now() + task.retry_delay;
  task.retry_delay = std::min(2 * task.retry_delay, kMostRetryDelay);
  // What was asked for meanwhile comes sooner.
  tasks_.try_emplace(task.layer->id(), std::move(task));
}

}  // namespace tconv::server
