// The layers that are known here, by name.
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

// What came of a layer of the store.
struct Registered {
  // The one that stands for it. Null when it is damaged, and when it has been
  // deleted since.
  std::shared_ptr<Layer> layer;
  // The one that had its name until now; null: none.
  std::shared_ptr<Layer> replaced;
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
  // Of a damaged layer, too. NOT_FOUND.
  StatusOr<int64_t> IdOf(const std::string& name) const;

  // There is one Layer for each id.
  Registered Add(const LayerRecord& record);
  Registered AddDamaged(const DamagedLayer& damaged);

  // Erases the layer if it still has the name; returns it unless it was damaged.
  std::shared_ptr<Layer> Erase(const LayerKey& key);
  // The store is at `revision`. When that is before what has been told, somebody put
  // back an older store: erases and returns all layers, to be added anew.
  std::vector<std::shared_ptr<Layer>> GoBack(int64_t revision);
  // All changes up to `revision` have been told. Erases and returns the layers that
  // are not among the `living` of that revision; nothing: none was deleted.
  std::vector<std::shared_ptr<Layer>> CatchUp(int64_t revision,
                                              const std::optional<std::vector<int64_t>>& living);

  int64_t size() const;
  // Those of them that the store cannot read, and those of which an older state is
  // served than the store has.
  int64_t damaged() const;
  int64_t behind() const;
  // At most `limit` layers whose names come after `after` and satisfy `includes`,
  // in the order of their names. Without the damaged ones.
  std::vector<std::shared_ptr<Layer>> After(const std::string& after, size_t limit,
                                            const NamePredicate& includes) const;

  // All whose names begin with `prefix`. Without the damaged ones.
  std::vector<std::shared_ptr<Layer>> WithPrefix(const std::string& prefix) const;

  // A free name as Keras generates them: the stem, then stem_1, stem_2, ...
  // The next call with the same stem goes on from there.
  std::string GenerateName(const std::string& stem);

 private:
  struct Entry {
    int64_t id = 0;
    std::shared_ptr<Layer> layer;  // null: damaged
    Status damage;
  };

  // Whether the store had a layer with this id and name later than the one that is
  // known here, if any.
  bool IsNews(const std::string& name, int64_t id) const TCONV_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ TCONV_GUARDED_BY(mutex_);
  // A layer of the store with an id up to this one is known here.
  int64_t revision_ TCONV_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int64_t> generated_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
