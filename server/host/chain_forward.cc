#include "server/host/chain_forward.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <utility>

#include "server/compute/activation_pass.h"
#include "server/host/version_waiters.h"

namespace tconv::server {
namespace {

using std::chrono::steady_clock;

// The output of a unit as the input of the next.
class OutputSource final : public TensorSource {
 public:
  explicit OutputSource(ForwardResult result) : result_(std::move(result)) {}

  DType dtype() const override { return result_.output.dtype; }
  const Shape& shape() const override { return result_.output.shape; }
  // A part of a batch may lie anywhere.
  const std::byte* InPlace() const override {
    const auto address = reinterpret_cast<uintptr_t>(result_.output.data);
    return address % Tensor::kAlignment == 0 ? result_.output.data : nullptr;
  }
  void MoveTo(std::byte* dst) override { ViewSource(result_.output).MoveTo(dst); }

 private:
  const ForwardResult result_;
};

}  // namespace

int64_t ServedChain::version() const {
  int64_t sum = 0;
  for (const LayerCatalog::Served& served : layers) sum += served.weights->version;
  return sum;
}

VersionedLayers ServedChain::versioned() const {
  std::vector<std::shared_ptr<const Layer>> its_layers;
  for (const LayerCatalog::Served& served : layers) its_layers.push_back(served.layer);
  return VersionedLayers(key.name, std::move(its_layers));
}

const std::shared_ptr<const Weights>& ServedChain::WeightsOf(const ChainUnit& unit) const {
  const auto found = std::ranges::find_if(layers, [&](const LayerCatalog::Served& served) {
    return served.layer->name() == unit.layer;
  });
  return found->weights;
}

StatusOr<ServedChain> ServeChain(LayerCatalog& catalog, const ChainRecord& chain) {
  ServedChain served{.key = chain.key(), .layers = {}, .units = {}};
  TCONV_ASSIGN_OR_RETURN(served.layers, catalog.ServeChain(chain));
  std::vector<std::shared_ptr<Layer>> layers;
  for (const LayerCatalog::Served& one : served.layers) layers.push_back(one.layer);
  served.units = UnitsOf(chain, layers);
  return served;
}

Status CheckMayUse(const ServedChain& chain, const Caller* caller) {
  if (caller == nullptr) return OkStatus();
  for (const LayerCatalog::Served& served : chain.layers) {
    TCONV_RETURN_IF_ERROR(caller->CheckLayer(served.layer->name()));
  }
  return OkStatus();
}

// A job on its way through the units.
class ChainForward::Passage {
 public:
  explicit Passage(ForwardJob& job) : job_(job) { job.facts.strategy = kChainStrategy; }

  ForwardJob& job() { return job_; }
  bool has_failed() const { return !job_.result.ok(); }

  // The job of a unit. Valid until the next.
  ForwardJob& Enter(const ChainUnit& unit, bool is_last) {
    unit_job_.emplace(unit.layer, source_ == nullptr ? *job_.input : *source_, job_.compute_losses);
    if (is_last && unit.passes.empty()) unit_job_->room = job_.room;
    return *unit_job_;
  }
  // The layer of the unit has computed.
  void DropInput() {
    source_.reset();
    output_ = {};
  }
  void Fail(const ChainUnit& unit, const Status& status) {
    job_.result = InStep(unit.step, status);
  }
  // Goes on from the output of the unit.
  void Leave(ForwardResult result) {
    job_.times.plan += unit_job_->times.plan;
    job_.times.compute += unit_job_->times.compute;
    job_.facts.batch_calls = unit_job_->facts.batch_calls;
    job_.facts.is_first_call = unit_job_->facts.is_first_call;
    job_.facts.images = unit_job_->facts.images;
    std::ranges::move(result.losses, std::back_inserter(losses_));
    result.losses.clear();
    unit_job_.reset();
    source_ = std::make_unique<OutputSource>(result);
    output_ = std::move(result);
  }
  void Finish(int64_t version) {
    output_.weights_version = version;
    output_.losses = std::move(losses_);
    job_.result = std::move(output_);
  }

 private:
  ForwardJob& job_;
  std::unique_ptr<TensorSource> source_;  // null: the job's own
  std::optional<ForwardJob> unit_job_;
  ForwardResult output_;
  std::vector<Loss> losses_;
};

void ChainForward::Run(const ServedChain& chain, std::span<ForwardJob* const> jobs) const {
  std::deque<Passage> passages;
  std::vector<Passage*> under_way;
  for (ForwardJob* const job : jobs) {
    job->facts.layer_id = chain.key.id;
    job->facts.weights_version = chain.version();
    if (const Status status = Check(chain, *job); !status.ok()) {
      job->result = status;
    } else {
      under_way.push_back(&passages.emplace_back(*job));
    }
  }
  for (const ChainUnit& unit : chain.units) {
    if (under_way.empty()) return;
    RunUnit(chain, unit, under_way);
    std::erase_if(under_way, [](const Passage* passage) { return passage->has_failed(); });
  }
  for (Passage* const passage : under_way) passage->Finish(chain.version());
}

// Of every tensor on the way, before there is memory for any.
Status ChainForward::Check(const ServedChain& chain, const ForwardJob& job) const {
  TCONV_RETURN_IF_ERROR(CheckMayUse(chain, job.caller));
  TCONV_RETURN_IF_ERROR(CheckVersion(chain.versioned(), chain.version(), job));
  TCONV_ASSIGN_OR_RETURN(const std::vector<UnitShapes> shapes,
                         ShapesOf(chain.units, job.input->shape()));
  for (size_t i = 0; i < shapes.size(); ++i) {
    const ChainUnit& unit = chain.units[i];
    const bool is_last = i + 1 == shapes.size();
    const auto check = [&](const Shape& shape, bool is_output) {
      return InStep(unit.step, CheckOutputBytes(unit.config.dtype.compute, shape,
                                                is_output ? job.room : std::nullopt,
                                                layers_.max_output_bytes()));
    };
    if (!unit.passes.empty()) {
      TCONV_RETURN_IF_ERROR(check(shapes[i].problem.dst_shape(), false));
    }
    TCONV_RETURN_IF_ERROR(check(shapes[i].output, is_last));
  }
  return OkStatus();
}

void ChainForward::RunUnit(const ServedChain& chain, const ChainUnit& unit,
                           std::span<Passage* const> passages) const {
  const bool is_last = &unit == &chain.units.back();
  std::vector<ForwardJob*> jobs;
  for (Passage* const passage : passages) jobs.push_back(&passage->Enter(unit, is_last));
  layers_.Run(unit.config, chain.WeightsOf(unit), jobs);
  for (size_t i = 0; i < passages.size(); ++i) {
    StatusOr<ForwardResult> result = std::move(jobs[i]->result);
    passages[i]->DropInput();
    const auto begin = steady_clock::now();
    Status status = result.status();
    if (status.ok()) {
      status = RunPasses(unit, is_last ? passages[i]->job().room : std::nullopt, *result);
    }
    jobs[i]->times.compute += steady_clock::now() - begin;
    if (status.ok()) {
      passages[i]->Leave(*std::move(result));
    } else {
      passages[i]->Fail(unit, status);
    }
  }
}

Status ChainForward::RunPasses(const ChainUnit& unit, const std::optional<OutputRoom>& room,
                               ForwardResult& result) const {
  for (const Activation& pass : unit.passes) {
    const ConstTensorView z = result.output;
    const DataFormat data_format = unit.config.data_format;
    if (room.has_value() && &pass == &unit.passes.back()) {
      TCONV_ASSIGN_OR_RETURN(const Shape shape, pass.OutputShape(z.shape));
      const TensorView y = {z.dtype, shape, room->data};
      TCONV_RETURN_IF_ERROR(ActivateTensor(pool_, pass, data_format, z, y));
      result.output = y;
      result.owner = room->owner;
    } else {
      TCONV_ASSIGN_OR_RETURN(Tensor y, Activated(pool_, pass, data_format, z, layers_.memory()));
      const auto owner = std::make_shared<const Tensor>(std::move(y));
      result.output = owner->view();
      result.owner = owner;
    }
  }
  return OkStatus();
}

}  // namespace tconv::server
