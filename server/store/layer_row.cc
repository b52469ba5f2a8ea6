#include "server/store/layer_row.h"

#include <algorithm>
#include <utility>

#include "server/store/chain_row.h"
#include "server/store/store_errors.h"
#include "server/wire/layer_codec.h"
#include "server/wire/optimizer_codec.h"

namespace tconv::server {

LayerRow RowOf(const LayerRecord& record) {
  return {.id = record.id,
          .name = record.name,
          .config = ToProto(record.config).SerializeAsString(),
          .in_channels = record.in_channels,
          .weights_version = record.weights_version,
          .settings_version = record.settings_version,
          .optimizer =
              record.optimizer.has_value() ? ToProto(*record.optimizer).SerializeAsString() : ""};
}

Digest DigestOf(const LayerRow& row) {
  DigestBuilder digest;
  digest.Add(row.name).Add(row.config).Add(row.in_channels).Add(row.weights_version);
  if (row.kind != EntryKind::kLayer) digest.Add(static_cast<int64_t>(row.kind));
  return digest.Finish();
}

Digest DigestOfSettings(const LayerRow& row) {
  return DigestBuilder().Add(row.settings_version).Add(row.optimizer).Finish();
}

LayerRow Verified(LayerRow row, ByteSpan digest, ByteSpan settings_digest) {
  const bool is_as_created =
      row.settings_version == 0 && row.optimizer.empty() && settings_digest.empty();
  row.is_intact = std::ranges::equal(digest, DigestOf(row)) &&
                  (is_as_created || std::ranges::equal(settings_digest, DigestOfSettings(row)));
  return row;
}

StatusOr<LayerRecord> RecordOf(const LayerRow& row) {
  v1::LayerConfig config;
  v1::KerasObject optimizer;
  if (!row.is_intact || !config.ParseFromString(row.config) ||
      !optimizer.ParseFromString(row.optimizer)) {
    return LayerDamaged(row.name, "the stored description is not what was written");
  }
  StatusOr<LayerConfig> valid_config = LayerConfigFromProto(config);
  if (!valid_config.ok()) {
    return LayerDamaged(
        row.name, "the stored configuration is not valid: " + MessageOf(valid_config.status()));
  }
  LayerRecord record{.name = row.name,
                     .config = *std::move(valid_config),
                     .in_channels = row.in_channels,
                     .weights_version = row.weights_version,
                     .optimizer = std::nullopt,
                     .settings_version = row.settings_version,
                     .id = row.id};
  if (row.optimizer.empty()) return record;
  StatusOr<Optimizer> valid_optimizer = OptimizerFromProto(optimizer);
  if (!valid_optimizer.ok()) {
    return LayerDamaged(
        row.name, "the stored optimizer is not valid: " + MessageOf(valid_optimizer.status()));
  }
  record.optimizer = *std::move(valid_optimizer);
  return record;
}

Status NameIsTaken(const LayerRow& row) {
  return row.kind == EntryKind::kChain ? ChainExists(row.name) : LayerExists(row.name);
}

void AddTo(LayerIndex& index, const LayerRow& row) {
  const auto add = [&](auto& intact, auto record) {
    if (record.ok()) {
      intact.push_back(*std::move(record));
    } else {
      index.damaged.push_back(
          {.name = row.name, .id = row.id, .error = record.status(), .kind = row.kind});
    }
  };
  if (row.kind == EntryKind::kChain) {
    add(index.chains, ChainOf(row));
  } else {
    add(index.layers, RecordOf(row));
  }
}

}  // namespace tconv::server
