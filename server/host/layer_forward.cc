#include "server/host/layer_forward.h"

#include <chrono>
#include <utility>
#include <vector>

#include "server/host/losses.h"
#include "server/host/model_info.h"
#include "server/layer/regularizer.h"

namespace tconv::server {

Status CheckOutputBytes(DType dtype, const Shape& shape, const std::optional<OutputRoom>& room,
                        int64_t limit) {
  const int64_t bytes = shape.num_elements() * static_cast<int64_t>(SizeOf(dtype));
  if (room.has_value() && bytes > room->size_bytes) {
    return InvalidField("output.size_bytes", "expected at least {} bytes for {} {}, got {}", bytes,
                        NameOf(dtype), ToString(shape), room->size_bytes);
  }
  if (!room.has_value() && bytes > limit) {
    return MakeError(StatusCode::kResourceExhausted,
                     "output {} takes {} bytes, the server allows {}", ToString(shape), bytes,
                     limit);
  }
  return OkStatus();
}

Status CheckVersion(const VersionedLayers& layers, int64_t version, const ForwardJob& job) {
  if (version < job.min_version) return VersionNotServed(layers, job.min_version);
  if (!job.exact_version.has_value()) return OkStatus();
  return CheckServedVersion(job.layer, version, *job.exact_version);
}

void LayerForward::Run(const LayerConfig& config, const std::shared_ptr<const Weights>& weights,
                       std::span<ForwardJob* const> jobs) const {
  std::vector<ReadyForward> ready;
  for (ForwardJob* job : jobs) {
    auto prepared = Prepare(config, weights, *job);
    if (prepared.ok()) {
      ready.push_back(*std::move(prepared));
    } else {
      job->result = prepared.status();
    }
  }
  for (const ForwardBatch batch : FormBatches(ready, parts_.max_output_bytes)) {
    Compute(config, weights, batch);
  }
}

StatusOr<ReadyForward> LayerForward::Prepare(const LayerConfig& config,
                                             const std::shared_ptr<const Weights>& weights,
                                             ForwardJob& job) const {
  const auto begin = std::chrono::steady_clock::now();
  ReadyForward ready;
  ready.job = &job;
  TCONV_ASSIGN_OR_RETURN(ready.problem,
                         MakeDeconvProblem(config, weights->in_channels(), job.input->shape()));
  const Shape shape = ready.problem.dst_shape();
  TCONV_RETURN_IF_ERROR(
      CheckOutputBytes(ready.problem.dtype, shape, job.room, parts_.max_output_bytes));
  if (shape.num_elements() > 0) {
    ready.computation =
        std::make_shared<const SlabComputation>(ComputationOf(job.layer, ready.problem, weights));
    TCONV_ASSIGN_OR_RETURN(ready.plan, ready.computation->PlanOf(ready.computation->slabs()[0]));
  }
  job.times.plan = std::chrono::steady_clock::now() - begin;
  return ready;
}

SlabComputation LayerForward::ComputationOf(const std::string& layer, const DeconvProblem& problem,
                                            std::shared_ptr<const Weights> weights) const {
  return SlabComputation(parts_.plans, parts_.memory, problem, std::move(weights),
                         parts_.slab_bytes, parts_.quota.PlanShareOf(layer));
}

void LayerForward::Compute(const LayerConfig& config, const std::shared_ptr<const Weights>& weights,
                           ForwardBatch batch) const {
  const Status status = ComputeBatch(parts_.plans, parts_.memory, weights, batch);
  if (status.code() == StatusCode::kResourceExhausted && batch.size() > 1) {
    // There may be memory for each, one after the other.
    for (size_t i = 0; i < batch.size(); ++i) Compute(config, weights, batch.subspan(i, 1));
    return;
  }
  for (const ReadyForward& ready : batch) {
    ForwardJob& job = *ready.job;
    if (!status.ok()) {
      job.result = status;
    } else if (job.compute_losses) {
      PenaltySums sums;
      if (config.activity_regularizer.has_value() && ready.computation != nullptr) {
        sums = ready.computation->SumsOf(job.result->output);
      }
      job.result->losses = LossesOf(config, *weights, sums, ready.problem);
    }
  }
}

}  // namespace tconv::server
