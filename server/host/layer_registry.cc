#include "server/host/layer_registry.h"

#include <algorithm>
#include <utility>

#include "server/store/store_errors.h"

namespace tconv::server {

StatusOr<std::shared_ptr<Layer>> LayerRegistry::Find(const std::string& name) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return LayerNotFound(name);
  if (found->second.layer == nullptr) return found->second.damage;
  return found->second.layer;
}

StatusOr<int64_t> LayerRegistry::IdOf(const std::string& name) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return LayerNotFound(name);
  return found->second.id;
}

bool LayerRegistry::IsNews(const std::string& name, int64_t id) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? id > revision_ : id > found->second.id;
}

Registered LayerRegistry::Add(const LayerRecord& record) {
  MutexLock lock(mutex_);
  if (IsNews(record.name, record.id)) {
    auto layer = std::make_shared<Layer>(record);
    Entry& entry = entries_[layer->name()];
    return {layer, std::exchange(entry, Entry{layer->id(), layer, OkStatus()}).layer};
  }
  const auto found = entries_.find(record.name);
  const bool is_known = found != entries_.end() && found->second.id == record.id;
  return {is_known ? found->second.layer : nullptr, nullptr};
}

Registered LayerRegistry::AddDamaged(const DamagedLayer& damaged) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(damaged.name);
  const bool is_known = found != entries_.end() && found->second.id == damaged.id;
  if (!is_known && !IsNews(damaged.name, damaged.id)) return {};
  Entry& entry = entries_[damaged.name];
  return {nullptr, std::exchange(entry, Entry{damaged.id, nullptr, damaged.error}).layer};
}

std::shared_ptr<Layer> LayerRegistry::Erase(const LayerKey& key) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(key.name);
  if (found == entries_.end() || found->second.id != key.id) return nullptr;
  std::shared_ptr<Layer> erased = std::move(found->second.layer);
  entries_.erase(found);
  return erased;
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::GoBack(int64_t revision) {
  std::vector<std::shared_ptr<Layer>> erased;
  MutexLock lock(mutex_);
  if (revision >= revision_) return erased;
  for (auto& [name, entry] : entries_) {
    if (entry.layer != nullptr) erased.push_back(std::move(entry.layer));
  }
  entries_.clear();
  revision_ = 0;
  return erased;
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::CatchUp(
    int64_t revision, const std::optional<std::vector<int64_t>>& living) {
  std::vector<std::shared_ptr<Layer>> erased;
  MutexLock lock(mutex_);
  revision_ = revision;
  if (!living.has_value()) return erased;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const int64_t id = entry->second.id;
    const bool lives = id > revision || std::ranges::binary_search(*living, id);
    if (!lives && entry->second.layer != nullptr) erased.push_back(entry->second.layer);
    entry = lives ? std::next(entry) : entries_.erase(entry);
  }
  return erased;
}

int64_t LayerRegistry::size() const {
  MutexLock lock(mutex_);
  return static_cast<int64_t>(entries_.size());
}

int64_t LayerRegistry::damaged() const {
  MutexLock lock(mutex_);
  return std::ranges::count_if(entries_,
                               [](const auto& entry) { return entry.second.layer == nullptr; });
}

int64_t LayerRegistry::behind() const {
  MutexLock lock(mutex_);
  return std::ranges::count_if(entries_, [](const auto& entry) {
    return entry.second.layer != nullptr && entry.second.layer->IsBehind();
  });
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::After(const std::string& after, size_t limit,
                                                         const NamePredicate& includes) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Layer>> page;
  for (auto it = entries_.upper_bound(after); it != entries_.end() && page.size() < limit; ++it) {
    if (it->second.layer != nullptr && includes(it->first)) page.push_back(it->second.layer);
  }
  return page;
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::WithPrefix(const std::string& prefix) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<Layer>> found;
  for (auto it = entries_.lower_bound(prefix);
       it != entries_.end() && it->first.starts_with(prefix); ++it) {
    if (it->second.layer != nullptr) found.push_back(it->second.layer);
  }
  return found;
}

std::string LayerRegistry::GenerateName(const std::string& stem) {
  MutexLock lock(mutex_);
  int64_t& next = generated_[stem];
  while (true) {
    const int64_t number = next++;
    std::string name = number == 0 ? stem : stem + "_" + std::to_string(number);
    if (!entries_.contains(name)) return name;
  }
}

}  // namespace tconv::server
