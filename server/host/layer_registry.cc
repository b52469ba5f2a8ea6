#include "server/host/layer_registry.h"

#include <algorithm>
#include <utility>

#include "server/store/store_errors.h"

namespace tconv::server {

const LayerRegistry::Entry* LayerRegistry::FindEntry(const std::string& name,
                                                     EntryKind kind) const {
  const auto found = entries_.find(name);
  return found == entries_.end() || found->second.kind != kind ? nullptr : &found->second;
}

StatusOr<std::shared_ptr<Layer>> LayerRegistry::Find(const std::string& name) const {
  MutexLock lock(mutex_);
  const Entry* const entry = FindEntry(name, EntryKind::kLayer);
  if (entry == nullptr) return LayerNotFound(name);
  if (entry->is_damaged()) return entry->damage;
  return entry->named.layer;
}

StatusOr<std::shared_ptr<const ChainRecord>> LayerRegistry::FindChain(
    const std::string& name) const {
  MutexLock lock(mutex_);
  const Entry* const entry = FindEntry(name, EntryKind::kChain);
  if (entry == nullptr) return ChainNotFound(name);
  if (entry->is_damaged()) return entry->damage;
  return entry->named.chain;
}

StatusOr<NamedEntry> LayerRegistry::FindAny(const std::string& name) const {
  MutexLock lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return LayerNotFound(name);
  if (found->second.is_damaged()) return found->second.damage;
  return found->second.named;
}

StatusOr<int64_t> LayerRegistry::IdOf(const std::string& name, EntryKind kind) const {
  MutexLock lock(mutex_);
  const Entry* const entry = FindEntry(name, kind);
  if (entry != nullptr) return entry->id;
  return kind == EntryKind::kChain ? ChainNotFound(name) : LayerNotFound(name);
}

bool LayerRegistry::IsNews(const std::string& name, int64_t id) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? id > revision_ : id > found->second.id;
}

std::shared_ptr<Layer> LayerRegistry::Put(const std::string& name, Entry entry) {
  return std::exchange(entries_[name], std::move(entry)).named.layer;
}

Registered LayerRegistry::Add(const LayerRecord& record) {
  MutexLock lock(mutex_);
  if (IsNews(record.name, record.id)) {
    auto layer = std::make_shared<Layer>(record);
    Entry entry = {.id = record.id, .kind = EntryKind::kLayer, .named = {layer, nullptr}};
    return {layer, Put(record.name, std::move(entry))};
  }
  const auto found = entries_.find(record.name);
  const bool is_known = found != entries_.end() && found->second.id == record.id;
  return {is_known ? found->second.named.layer : nullptr, nullptr};
}

Registered LayerRegistry::AddChain(const ChainRecord& record) {
  MutexLock lock(mutex_);
  if (!IsNews(record.name, record.id)) return {};
  Entry entry = {.id = record.id,
                 .kind = EntryKind::kChain,
                 .named = {nullptr, std::make_shared<const ChainRecord>(record)}};
  return {nullptr, Put(record.name, std::move(entry))};
}

Registered LayerRegistry::AddDamaged(const DamagedLayer& damaged) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(damaged.name);
  const bool is_known = found != entries_.end() && found->second.id == damaged.id;
  if (!is_known && !IsNews(damaged.name, damaged.id)) return {};
  Entry entry = {.id = damaged.id, .kind = damaged.kind, .named = {}, .damage = damaged.error};
  return {nullptr, Put(damaged.name, std::move(entry))};
}

std::shared_ptr<Layer> LayerRegistry::Erase(const LayerKey& key) {
  MutexLock lock(mutex_);
  const auto found = entries_.find(key.name);
  if (found == entries_.end() || found->second.id != key.id) return nullptr;
  std::shared_ptr<Layer> erased = std::move(found->second.named.layer);
  entries_.erase(found);
  return erased;
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::GoBack(int64_t revision) {
  std::vector<std::shared_ptr<Layer>> erased;
  MutexLock lock(mutex_);
  if (revision >= revision_) return erased;
  for (auto& [name, entry] : entries_) {
    if (entry.named.layer != nullptr) erased.push_back(std::move(entry.named.layer));
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
    const std::shared_ptr<Layer>& layer = entry->second.named.layer;
    if (!lives && layer != nullptr) erased.push_back(layer);
    entry = lives ? std::next(entry) : entries_.erase(entry);
  }
  return erased;
}

int64_t LayerRegistry::size() const {
  MutexLock lock(mutex_);
  return static_cast<int64_t>(entries_.size());
}

template <typename Predicate>
int64_t LayerRegistry::Count(Predicate includes) const {
  MutexLock lock(mutex_);
  return std::ranges::count_if(entries_, [&](const auto& entry) { return includes(entry.second); });
}

int64_t LayerRegistry::chains() const {
  return Count([](const Entry& entry) { return entry.named.chain != nullptr; });
}

int64_t LayerRegistry::damaged() const {
  return Count([](const Entry& entry) { return entry.is_damaged(); });
}

int64_t LayerRegistry::behind() const {
  return Count([](const Entry& entry) {
    return entry.named.layer != nullptr && entry.named.layer->IsBehind();
  });
}

template <typename T>
std::vector<T> LayerRegistry::PageAfter(const std::string& after, size_t limit,
                                        const NamePredicate& includes,
                                        T NamedEntry::*member) const {
  MutexLock lock(mutex_);
  std::vector<T> page;
  for (auto it = entries_.upper_bound(after); it != entries_.end() && page.size() < limit; ++it) {
    const T& value = it->second.named.*member;
    if (value != nullptr && includes(it->first)) page.push_back(value);
  }
  return page;
}

std::vector<std::shared_ptr<Layer>> LayerRegistry::After(const std::string& after, size_t limit,
                                                         const NamePredicate& includes) const {
  return PageAfter(after, limit, includes, &NamedEntry::layer);
}

std::vector<std::shared_ptr<const ChainRecord>> LayerRegistry::ChainsAfter(
    const std::string& after, size_t limit, const NamePredicate& includes) const {
  return PageAfter(after, limit, includes, &NamedEntry::chain);
}

std::vector<NamedEntry> LayerRegistry::WithPrefix(const std::string& prefix) const {
  MutexLock lock(mutex_);
  std::vector<NamedEntry> found;
  for (auto it = entries_.lower_bound(prefix);
       it != entries_.end() && it->first.starts_with(prefix); ++it) {
    if (!it->second.is_damaged()) found.push_back(it->second.named);
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
