// Brings layers up to date behind the calls that use them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/layer.h"

namespace tconv::server {

// Updates the layers that it is asked to, on threads of its own, and tries again,
// ever more rarely, what fails. Thread-safe.
class LayerUpdater {
 public:
  // An error says that it is to be tried again.
  using Update = std::function<Status(Layer&)>;

  explicit LayerUpdater(Update update);
  // Leaves undone what has not begun.
  ~LayerUpdater();
  LayerUpdater(const LayerUpdater&) = delete;
  LayerUpdater& operator=(const LayerUpdater&) = delete;

  // `layer` is to be updated as soon as possible, once however often this is called.
  void Ask(std::shared_ptr<Layer> layer);

 private:
  using Clock = std::chrono::steady_clock;

  struct Task {
    std::shared_ptr<Layer> layer;
    Clock::time_point due;
    std::chrono::milliseconds retry_delay;
  };
  using Tasks = std::map<int64_t, Task>;  // by the id of the layer

  void Work();
  Tasks::iterator Earliest() TCONV_REQUIRES(mutex_);
  void TryAgain(Task task) TCONV_REQUIRES(mutex_);

  const Update update_;
  Mutex mutex_;
  CondVar changed_;
  Tasks tasks_ TCONV_GUARDED_BY(mutex_);  // that have not begun
  bool is_stopping_ TCONV_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tconv::server
