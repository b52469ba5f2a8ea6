#include "server/store/layer_row.h"

#include <algorithm>
#include <utility>

#include "server/store/store_errors.h"
#include "server/wire/layer_codec.h"

namespace tconv::server {

LayerRow RowOf(const LayerRecord& record) {
  return {.name = record.name,
          .config = ToProto(record.config).SerializeAsString(),
          .in_channels = record.in_channels,
          .weights_version = record.weights_version};
}

Digest DigestOf(const LayerRow& row) {
  return DigestBuilder()
      .Add(row.name)
      .Add(row.config)
      .Add(row.in_channels)
      .Add(row.weights_version)
      .Finish();
}

LayerRow Verified(LayerRow row, ByteSpan digest) {
  row.is_intact = std::ranges::equal(digest, DigestOf(row));
  return row;
}

StatusOr<LayerRecord> RecordOf(const LayerRow& row) {
  v1::LayerConfig proto;
  if (!row.is_intact || !proto.ParseFromString(row.config)) {
    return LayerDamaged(row.name, "the stored description is not what was written");
  }
  StatusOr<LayerConfig> config = LayerConfigFromProto(proto);
  if (!config.ok()) {
    return LayerDamaged(row.name, "the stored configuration is not valid: " +
                                      std::string(config.status().message()));
  }
  return LayerRecord{.name = row.name,
                     .config = *std::move(config),
                     .in_channels = row.in_channels,
                     .weights_version = row.weights_version,
                     .id = row.id};
}

void AddTo(LayerIndex& index, const LayerRow& row) {
  StatusOr<LayerRecord> record = RecordOf(row);
  if (record.ok()) {
    index.layers.push_back(*std::move(record));
  } else {
    index.damaged.push_back({.name = row.name, .id = row.id, .error = record.status()});
  }
}

}  // namespace tconv::server
