// The use cases of ChainService, and what Forward does under the name of a chain.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "server/access/caller.h"
#include "server/base/status.h"
#include "server/compute/worker_pool.h"
#include "server/host/chain_forward.h"
#include "server/host/forward_job.h"
#include "server/host/forward_session.h"
#include "server/host/layer_catalog.h"
#include "server/host/layer_forward.h"
#include "server/layer/activation.h"
#include "server/layer/geometry.h"
#include "server/layer/layer_config.h"
#include "server/store/chain_record.h"

namespace tconv::server {

// How to create a chain.
struct ChainDraft {
  using Step = std::variant<std::string, Activation>;  // the name of a layer, or a function

  std::string name;
  std::vector<Step> steps;
};

// A layer as a step of a chain.
struct ChainLayer {
  std::string name;
  LayerConfig config;
  int64_t in_channels = 0;
};

// What is told of a chain.
struct ChainInfo {
  std::string name;
  std::vector<std::variant<ChainLayer, Activation>> steps;
  int64_t weights_version = 0;
  PartialShape input_shape;
  PartialShape output_shape;
  DType output_dtype = DType::kFloat32;
  DataFormat data_format = DataFormat::kChannelsLast;
};

struct ChainPage {
  std::vector<ChainInfo> chains;
  std::string next;  // the `after` of the next page; empty on the last
};

// Thread-safe. Errors are those that tconv/v1/chain.proto states for the RPC of the
// same name, with paths of the request's fields.
class Chains {
 public:
  // All must outlive it.
  Chains(LayerCatalog& catalog, const LayerForward& layers, WorkerPool& pool)
      : catalog_(catalog), layers_(layers), pool_(pool), forward_(layers, pool) {}

  StatusOr<ChainInfo> Create(const ChainDraft& draft);
  StatusOr<ChainInfo> Get(const std::string& name);
  StatusOr<ChainInfo> Describe(const ChainRecord& chain) const;
  // Chains whose names come after `after` and satisfy `includes`, at most `limit` (> 0)
  // of them; without those of damaged layers.
  ChainPage List(const std::string& after, size_t limit,
                 const LayerRegistry::NamePredicate& includes) const;
  Status Delete(const std::string& name) { return catalog_.DeleteChain(name); }

  // As LayerHost does it for a layer; at least one job.
  void ForwardTogether(const ChainRecord& chain, std::span<ForwardJob* const> jobs) const;
  StatusOr<std::unique_ptr<ForwardSession>> StreamForward(const ChainRecord& chain,
                                                          const StreamedForward& forward) const;
  ForwardOutlook OutlookOf(const ChainRecord& chain, const Shape& input_shape) const;
  StatusOr<PartialShape> ComputeOutputShape(const ChainRecord& chain,
                                            std::span<const int64_t> input_shape) const;

 private:
  // NOT_FOUND, FAILED_PRECONDITION, DATA_LOSS about a layer; INVALID_ARGUMENT.
  StatusOr<std::vector<std::shared_ptr<Layer>>> LayersOf(const ChainDraft& draft,
                                                         ChainRecord& record);

  LayerCatalog& catalog_;
  const LayerForward& layers_;
  WorkerPool& pool_;
  const ChainForward forward_;
};

}  // namespace tconv::server
