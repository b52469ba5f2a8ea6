#include "server/host/layer_registry.h"

#include <utility>

#include "server/store/store_errors.h"

namespace tconv::server {

StatusOr<std::shared_ptr<Layer>> LayerRegistry::Find(const std::string& name) const {
  MutexLock lock(mutex_);
  if (const auto it = layers_.find(name); it != layers_.end()) return it->second;
  if (const auto it = damaged_.find(name); it != damaged_.end()) return it->second;
  return LayerNotFound(name);
}

void LayerRegistry::Insert(std::shared_ptr<Layer> layer) {
  MutexLock lock(mutex_);
  layers_.insert_or_assign(layer->name(), layer);
}

void LayerRegistry::InsertDamaged(const std::string& name, Status error) {
  MutexLock lock(mutex_);
  damaged_.insert_or_assign(name, std::move(error));
}

void LayerRegistry::Erase(const std::string& name) {
  MutexLock lock(mutex_);
  layers_.erase(name);
  damaged_.erase(name);
}

int64_t LayerRegistry::size() const {
  MutexLock lock(mutex_);
  return static_cast<int64_t>(layers_.size());
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::After(const std::string& after,
                                                         size_t limit) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Layer>> page;
  for (auto it = layers_.upper_bound(after); it != layers_.end() && page.size() < limit; ++it) {
    page.push_back(it->second);
  }
  return page;
}

std::string LayerRegistry::GenerateName(const std::string& stem) {
  MutexLock lock(mutex_);
  int64_t& next = generated_[stem];
  while (true) {
    const int64_t number = next++;
    std::string name = number == 0 ? stem : stem + "_" + std::to_string(number);
    if (!layers_.contains(name) && !damaged_.contains(name)) return name;
  }
}

}  // namespace tconv::server
