#include "server/host/forward_batch.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/layer/slabs.h"

namespace tconv::server {
namespace {

using std::chrono::steady_clock;

// The most jobs, at most `available`, of which batches are made: 1, 2, ... 8, then
// four steps for each doubling.
int64_t RoundedDown(int64_t available) {
  int64_t step = 1;
  while (available / step >= 8) step *= 2;
  return available / step * step;
}

DeconvProblem Repeated(const DeconvProblem& problem, int64_t times) {
  DeconvProblem repeated = problem;
  repeated.batch *= times;
  return repeated;
}

// How many of `available` jobs like this one are computed together.
int64_t BatchSize(const ReadyForward& first, int64_t available, int64_t max_output_bytes) {
  if (first.plan == nullptr || !CutsOf(first.problem).images) return 1;
  if (first.computation->slabs().size() > 1 || first.job->room.has_value()) return 1;
  const int64_t bytes =
      first.problem.dst_shape().num_elements() * static_cast<int64_t>(SizeOf(first.problem.dtype));
  int64_t size = RoundedDown(std::clamp<int64_t>(max_output_bytes / bytes, 1, available));
  while (size > 1 && !first.plan->strategy->Supports(Repeated(first.problem, size)).ok()) {
    size = RoundedDown(size - 1);
  }
  return size;
}

// Elements to write, in memory that `owner` keeps.
struct Output {
  TensorView view;
  std::shared_ptr<const void> owner;
};

// In the room of the job that has one, which is alone, else in new memory.
StatusOr<Output> PlaceOutput(ForwardBatch batch, const DeconvProblem& problem, BlockPool& memory) {
  if (const auto& room = batch.front().job->room; room.has_value()) {
    return Output{{problem.dtype, problem.dst_shape(), room->data}, room->owner};
  }
  TCONV_ASSIGN_OR_RETURN(Tensor allocated,
                         Tensor::Allocate(problem.dtype, problem.dst_shape(), memory));
  const auto owner = std::make_shared<Tensor>(std::move(allocated));
  return Output{owner->mutable_view(), owner};
}

// Part `index` of `parts` equal ones.
template <typename View>
View Part(View whole, Shape shape, size_t index, size_t parts) {
  whole.data += static_cast<size_t>(whole.size_bytes()) / parts * index;
  whole.shape = std::move(shape);
  return whole;
}

// The inputs of jobs as the computation reads them: one behind the other, or where
// a single one is.
class BatchInput {
 public:
  BatchInput(ForwardBatch batch, const DeconvProblem& problem, BlockPool& memory)
      : batch_(batch), memory_(memory), dtype_(problem.dtype), shape_(problem.src_shape()) {}

  // Memory for what has to be moved; RESOURCE_EXHAUSTED.
  Status Reserve() {
    if (InPlace() != nullptr) return OkStatus();
    TCONV_ASSIGN_OR_RETURN(fetched_, Tensor::Allocate(dtype_, shape_, memory_));
    for (const ReadyForward& ready : batch_) {
      const TensorSource& source = *ready.job->input;
      unconverted_.emplace_back();
      if (source.dtype() == dtype_) continue;
      TCONV_ASSIGN_OR_RETURN(unconverted_.back(),
                             Tensor::Allocate(source.dtype(), source.shape(), memory_));
    }
    return OkStatus();
  }

  ConstTensorView Fetch() {
    if (const std::byte* data = InPlace(); data != nullptr) return {dtype_, shape_, data};
    for (size_t i = 0; i < batch_.size(); ++i) {
      TensorSource& source = *batch_[i].job->input;
      const TensorView part = Part(fetched_.mutable_view(), source.shape(), i, batch_.size());
      if (source.dtype() == dtype_) {
        source.MoveTo(part.data);
      } else {
        source.MoveTo(unconverted_[i].mutable_view().data);
        Convert(unconverted_[i].view(), part);
        unconverted_[i] = Tensor();
      }
    }
    return fetched_.view();
  }

 private:
  const std::byte* InPlace() const {
    const TensorSource& source = *batch_.front().job->input;
    return batch_.size() == 1 && source.dtype() == dtype_ ? source.InPlace() : nullptr;
  }

  const ForwardBatch batch_;
  BlockPool& memory_;
  const DType dtype_;
  const Shape shape_;
  Tensor fetched_;
  std::vector<Tensor> unconverted_;
};

// A job of several slabs, which is alone, by these; else all at once.
Status Execute(ForwardBatch batch, const CachedPlan& plan, ConstTensorView src, TensorView dst) {
  const SlabComputation& computation = *batch.front().computation;
  return computation.slabs().size() > 1 ? computation.ExecuteAll(src, dst) : plan.Execute(src, dst);
}

}  // namespace

std::vector<ForwardBatch> FormBatches(std::vector<ReadyForward>& jobs, int64_t max_output_bytes) {
  std::vector<ForwardBatch> batches;
  for (auto first = jobs.begin(); first != jobs.end();) {
    // Equal problems have the same plan. A job with room stays out of the batches of others.
    const auto alike = std::stable_partition(first, jobs.end(), [&](const ReadyForward& ready) {
      return ready.plan == first->plan && ready.problem == first->problem &&
             ready.job->room.has_value() == first->job->room.has_value();
    });
    while (first != alike) {
      const auto size = static_cast<size_t>(BatchSize(*first, alike - first, max_output_bytes));
      batches.emplace_back(&*first, size);
      first += static_cast<std::ptrdiff_t>(size);
    }
  }
  return batches;
}

Status ComputeBatch(PlanCache& plans, BlockPool& memory,
                    const std::shared_ptr<const Weights>& weights, ForwardBatch batch) {
  const auto begin = steady_clock::now();
  const ReadyForward& first = batch.front();
  const DeconvProblem problem = Repeated(first.problem, static_cast<int64_t>(batch.size()));
  std::shared_ptr<const CachedPlan> plan = first.plan;
  if (batch.size() > 1) {
    TCONV_ASSIGN_OR_RETURN(plan, plans.GetOrCompile(problem, weights, first.plan->strategy,
                                                    first.computation->share()));
  }
  TCONV_ASSIGN_OR_RETURN(const Output output, PlaceOutput(batch, problem, memory));
  const auto planned = steady_clock::now();
  if (plan != nullptr) {
    BatchInput input(batch, problem, memory);
    TCONV_RETURN_IF_ERROR(input.Reserve());
    TCONV_RETURN_IF_ERROR(Execute(batch, *plan, input.Fetch(), output.view));
  }
  const auto computed = steady_clock::now();
  for (size_t i = 0; i < batch.size(); ++i) {
    ForwardJob& job = *batch[i].job;
    job.times.plan += planned - begin;
    job.times.compute = computed - planned;
    job.facts.strategy = plan == nullptr ? "" : plan->strategy->name();
    job.facts.batch_calls = static_cast<int64_t>(batch.size());
    job.facts.is_first_call = i == 0;
    job.facts.images = first.problem.batch;
    ForwardResult result;
    result.output = Part(ConstTensorView(output.view), first.problem.dst_shape(), i, batch.size());
    result.owner = output.owner;
    result.weights_version = weights->version;
    job.result = std::move(result);
  }
  return OkStatus();
}

}  // namespace tconv::server
