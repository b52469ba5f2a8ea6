// The layers and chains that are known here, by name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/layer.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// What came of a layer or chain of the store.
struct Registered {
  // The one that stands for it. Null when it is damaged, when it has been deleted
  // since, and for a chain.
  std::shared_ptr<Layer> layer;
  // The layer that had its name until now; null: none.
  std::shared_ptr<Layer> replaced;
};

// What a name stands for: one of the two.
struct NamedEntry {
  std::shared_ptr<Layer> layer;
  std::shared_ptr<const ChainRecord> chain;

  const std::string& name() const { return layer != nullptr ? layer->name() : chain->name; }
};

// Also knows the names that the store cannot read a layer for, so that they are
// told from names that nobody uses. News of the store may arrive in any order:
// what has a lower id was there before. Thread-safe; holds no lock while a layer is
// in use.
class LayerRegistry {
 public:
  using NamePredicate = std::function<bool(const std::string&)>;

  // NOT_FOUND; DATA_LOSS for a damaged layer.
  StatusOr<std::shared_ptr<Layer>> Find(const std::string& name) const;
  // Likewise.
  StatusOr<std::shared_ptr<const ChainRecord>> FindChain(const std::string& name) const;
  StatusOr<NamedEntry> FindAny(const std::string& name) const;
  // Of a damaged one, too. NOT_FOUND.
  StatusOr<int64_t> IdOf(const std::string& name, EntryKind kind) const;

  // There is one Layer for each id.
  Registered Add(const LayerRecord& record);
  Registered AddChain(const ChainRecord& record);
  Registered AddDamaged(const DamagedLayer& damaged);

  // Erases what has the key if it still has the name; returns an intact layer.
  std::shared_ptr<Layer> Erase(const LayerKey& key);
  // The store is at `revision`. When that is before what has been told, somebody put
  // back an older store: erases and returns all layers, to be added anew.
  std::vector<std::shared_ptr<Layer>> GoBack(int64_t revision);
  // All changes up to `revision` have been told. Erases what is not among the `living`
  // of that revision, and returns the layers; nothing: none was deleted.
  std::vector<std::shared_ptr<Layer>> CatchUp(int64_t revision,
                                              const std::optional<std::vector<int64_t>>& living);

  int64_t size() const;
  // Of these, intact chains, what the store cannot read, and layers of which an older
  // state is served than the store has.
  int64_t chains() const;
  int64_t damaged() const;
  int64_t behind() const;
  // At most `limit` layers whose names come after `after` and satisfy `includes`,
  // in the order of their names. Without the damaged ones.
  std::vector<std::shared_ptr<Layer>> After(const std::string& after, size_t limit,
                                            const NamePredicate& includes) const;
  std::vector<std::shared_ptr<const ChainRecord>> ChainsAfter(const std::string& after,
                                                              size_t limit,
                                                              const NamePredicate& includes) const;

  // All whose names begin with `prefix`. Without the damaged ones.
  std::vector<NamedEntry> WithPrefix(const std::string& prefix) const;

  // A free name as Keras generates them: the stem, then stem_1, stem_2, ...
  // The next call with the same stem goes on from there.
  std::string GenerateName(const std::string& stem);

 private:
  struct Entry {
    int64_t id = 0;
    EntryKind kind = EntryKind::kLayer;
    NamedEntry named;  // neither: damaged
    Status damage = {};

    bool is_damaged() const { return named.layer == nullptr && named.chain == nullptr; }
  };

  // Null: nothing of this kind has the name.
  const Entry* FindEntry(const std::string& name, EntryKind kind) const TCONV_REQUIRES(mutex_);
  // Whether the store had an entry with this id and name later than the one that is
  // known here, if any.
  bool IsNews(const std::string& name, int64_t id) const TCONV_REQUIRES(mutex_);
  // Returns the layer that had the name until now.
  std::shared_ptr<Layer> Put(const std::string& name, Entry entry) TCONV_REQUIRES(mutex_);
  template <typename Predicate>
  int64_t Count(Predicate includes) const;
  // Whatever `member` of a NamedEntry is, as After().
  template <typename T>
  std::vector<T> PageAfter(const std::string& after, size_t limit, const NamePredicate& includes,
                           T NamedEntry::*member) const;

  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ TCONV_GUARDED_BY(mutex_);
  // What the store has with an id up to this one is known here.
  int64_t revision_ TCONV_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int64_t> generated_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
