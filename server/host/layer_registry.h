// The live layers by name.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/status.h"
#include "server/host/layer.h"

namespace tconv::server {

// Also knows the names that the store cannot read a layer for, so that they are
// told from names that nobody uses. Thread-safe; holds no lock while a layer is
// in use.
class LayerRegistry {
 public:
  // NOT_FOUND; DATA_LOSS for a damaged layer.
  StatusOr<std::shared_ptr<Layer>> Find(const std::string& name) const;
  // Replaces a layer of the same name.
  void Insert(std::shared_ptr<Layer> layer);
  void InsertDamaged(const std::string& name, Status error);
  void Erase(const std::string& name);

  // Live layers.
  int64_t size() const;
  // At most `limit` layers whose names come after `after`, in the order of
  // their names.
  std::vector<std::shared_ptr<Layer>> After(const std::string& after, size_t limit) const;

  // A free name as Keras generates them: the stem, then stem_1, stem_2, ...
  // The next call with the same stem goes on from there.
  std::string GenerateName(const std::string& stem);

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Layer>> layers_ TCONV_GUARDED_BY(mutex_);
  std::map<std::string, Status> damaged_ TCONV_GUARDED_BY(mutex_);
  std::map<std::string, int64_t> generated_ TCONV_GUARDED_BY(mutex_);
};

}  // namespace tconv::server
