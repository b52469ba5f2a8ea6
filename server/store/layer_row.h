// The description of a layer as the columns that every database keeps of it.
#pragma once

#include <cstdint>
#include <string>

#include "server/base/status.h"
#include "server/store/bytes.h"
#include "server/store/digest.h"
#include "server/store/layer_store.h"

namespace tconv::server {

// One row of the table `layer`, without the training.
struct LayerRow {
  int64_t id = 0;
  std::string name;
  std::string config;  // serialized tconv.v1.LayerConfig; of a chain tconv.store.StoredChain
  int64_t in_channels = 0;
  int64_t weights_version = 0;
  int64_t settings_version = 0;
  std::string optimizer = {};  // serialized tconv.v1.KerasObject; empty: none
  EntryKind kind = EntryKind::kLayer;
  bool is_intact = true;  // the digest is the one that was written
};

LayerRow RowOf(const LayerRecord& record);

// Of name, config, in_channels and weights_version: servers of the first release compare
// it, too, and go on serving what others train. Of a chain's kind, too.
Digest DigestOf(const LayerRow& row);
// Of settings_version and optimizer.
Digest DigestOfSettings(const LayerRow& row);

// A row as it was read, with the digests that lay beside it. That of the settings is
// empty where they are as created by a release that knew of none.
LayerRow Verified(LayerRow row, ByteSpan digest, ByteSpan settings_digest);

// DATA_LOSS when the row is not intact or means nothing. REQUIRES: it is a layer's.
StatusOr<LayerRecord> RecordOf(const LayerRow& row);

// What is told whoever wants to create something under the name that `row` has.
Status NameIsTaken(const LayerRow& row);

// Adds the row to the layers or chains, or to what is damaged.
void AddTo(LayerIndex& index, const LayerRow& row);

}  // namespace tconv::server
