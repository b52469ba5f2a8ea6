#include "server/host/layer_training.h"

#include <chrono>
#include <cmath>
#include <span>
#include <utility>

#include "server/base/mutex.h"
#include "server/compute/wide_type.h"
#include "server/host/losses.h"
#include "server/host/training_pass.h"
#include "server/host/version_waiters.h"
#include "server/store/store_errors.h"
#include "server/store/training_state.h"

namespace tconv::server {
namespace {

using std::chrono::steady_clock;

constexpr size_t kMaxStepIdBytes = 64;

Status LayerHasNoOptimizer(const std::string& name) {
  return MakeError(StatusCode::kFailedPrecondition,
                   "layer \"{}\" has no optimizer: give it one with SetOptimizer", name);
}

Status CheckTerms(const StepTerms& terms) {
  if (terms.step_id.size() > kMaxStepIdBytes) {
    return InvalidField("step_id", "expected at most {} bytes, got {}", kMaxStepIdBytes,
                        terms.step_id.size());
  }
  // Optimizers have it in float32, as in Keras.
  const auto rate = static_cast<float>(terms.learning_rate.value_or(1));
  if (rate > 0 && std::isfinite(rate)) return OkStatus();
  return InvalidField("learning_rate", "expected a number > 0 in float32, got {}",
                      *terms.learning_rate);
}

// Whether a layer takes steps now.
Status CheckLearns(const std::string& name, const LayerSettings& settings) {
  if (!settings.config.trainable) {
    return MakeError(StatusCode::kFailedPrecondition,
                     "layer \"{}\" is frozen: SetTrainable thaws it", name);
  }
  return settings.optimizer.has_value() ? OkStatus() : LayerHasNoOptimizer(name);
}

Status CheckShape(const std::string& field, const TensorSource& tensor, const Shape& expected) {
  if (tensor.shape() == expected) return OkStatus();
  return InvalidField(field + ".shape", "expected {}, the shape of the output, got {}",
                      ToString(expected), ToString(tensor.shape()));
}

int64_t BytesOf(DType dtype, const Shape& shape) {
  return ConstTensorView{dtype, shape, nullptr}.size_bytes();
}

Status CheckBytes(const std::string& what, int64_t bytes, int64_t limit) {
  if (bytes <= limit) return OkStatus();
  return MakeError(StatusCode::kResourceExhausted,
                   "{} of {} bytes is larger than the {} that the server allows", what, bytes,
                   limit);
}

// The output exists on the way even when it is not part of the answer.
Status CheckBytes(const DeconvProblem& problem, int64_t answer_bytes, int64_t limit) {
  TCONV_RETURN_IF_ERROR(
      CheckBytes("an output", BytesOf(problem.dtype, problem.dst_shape()), limit));
  return CheckBytes("an answer", answer_bytes, limit);
}

StatusOr<Tensor> CopyOf(const Tensor& tensor) {
  return Tensor::Converted(tensor.view(), tensor.dtype());
}

// To be changed by a step.
StatusOr<std::shared_ptr<Weights>> CopyOf(const Weights& weights) {
  auto copy = std::make_shared<Weights>();
  TCONV_ASSIGN_OR_RETURN(copy->kernel, CopyOf(weights.kernel));
  if (weights.bias.has_value()) {
    TCONV_ASSIGN_OR_RETURN(copy->bias, CopyOf(*weights.bias));
  }
  return copy;
}

std::vector<double> ValuesOf(const std::vector<Loss>& losses) {
  std::vector<double> values;
  for (const Loss& loss : losses) values.push_back(loss.value);
  return values;
}

}  // namespace

// ---- Settings.

StatusOr<std::shared_ptr<Layer>> LayerTraining::SetTrainable(const std::string& name,
                                                             bool trainable) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Layer> layer, catalog_.Find(name));
  MutexLock lock(layer->change_mutex());
  TCONV_RETURN_IF_ERROR(catalog_.ChangeSettings(
      *layer, [&](LayerSettings& settings) { settings.config.trainable = trainable; }));
  return layer;
}

StatusOr<std::shared_ptr<Layer>> LayerTraining::SetOptimizer(const std::string& name,
                                                             const Optimizer& optimizer,
                                                             OptimizerState state) {
  TCONV_ASSIGN_OR_RETURN(std::shared_ptr<Layer> layer, catalog_.Find(name));
  if (state.iterations != 0 || !state.slots.empty()) {
    TCONV_ASSIGN_OR_RETURN(const LayerCatalog::Served served, catalog_.FindServed(name));
    TCONV_ASSIGN_OR_RETURN(state, optimizer.AdoptState(std::move(state), *served.weights));
  }
  MutexLock lock(layer->change_mutex());
  TCONV_RETURN_IF_ERROR(catalog_.ChangeOptimizer(*layer, optimizer, std::move(state)));
  return layer;
}

StatusOr<OptimizerInfo> LayerTraining::GetOptimizer(const std::string& name) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_.Find(name));
  TCONV_ASSIGN_OR_RETURN(LayerCatalog::Training training, catalog_.ReadTraining(*layer));
  if (!training.settings->optimizer.has_value()) return LayerHasNoOptimizer(name);
  int64_t bytes = 0;
  for (const auto& [slot, tensors] : training.state.optimizer.slots) bytes += tensors.size_bytes();
  TCONV_RETURN_IF_ERROR(CheckBytes("an answer", bytes, max_output_bytes_));
  return OptimizerInfo{*training.settings->optimizer, std::move(training.state.optimizer),
                       training.weights_version};
}

// ---- Gradients.

StatusOr<BackwardResult> LayerTraining::Backward(const BackwardJob& job) {
  BackwardResult result;
  TCONV_ASSIGN_OR_RETURN(const LayerCatalog::Served served, catalog_.FindServed(job.layer));
  const auto& [layer, weights] = served;
  if (weights->version < job.min_version) {
    return VersionNotServed(VersionedLayers(layer), job.min_version);
  }
  const auto settings = layer->settings();
  TCONV_ASSIGN_OR_RETURN(
      const DeconvProblem problem,
      MakeDeconvProblem(settings->config, weights->in_channels(), job.input->shape()));
  TCONV_RETURN_IF_ERROR(CheckShape("upstream", *job.upstream, problem.dst_shape()));
  const int64_t answer_bytes =
      (job.wanted.input ? BytesOf(problem.dtype, problem.src_shape()) : 0) +
      (job.wanted.weights ? weights->size_bytes() : 0);
  TCONV_RETURN_IF_ERROR(CheckBytes(problem, answer_bytes, max_output_bytes_));

  TCONV_ASSIGN_OR_RETURN(Tensor src, Fetch(*job.input, problem.dtype, tools_.memory));
  TCONV_ASSIGN_OR_RETURN(Tensor diff_output,
                         Fetch(*job.upstream, WideTypeOf(problem.dtype), tools_.memory));
  TrainingPass pass(tools_, settings->config, problem, weights, quota_.PlanShareOf(job.layer));
  TCONV_RETURN_IF_ERROR(pass.RunForward(std::move(src), /*needs_output=*/false));
  if (job.include_losses) result.losses = pass.LayerLosses();
  TCONV_ASSIGN_OR_RETURN(result.gradients,
                         pass.RunBackward(std::move(diff_output), job.wanted, job.include_losses));
  result.weights_version = weights->version;
  return result;
}

// What TrainStep computes from its input and target or upstream gradient, which are
// fetched once and kept for the case that the weights move meanwhile.
class LayerTraining::Lesson {
 public:
  // `job` must outlive it.
  Lesson(const TrainStepJob& job, DeconvProblem problem, const ComputeTools& tools,
         CacheShare share)
      : job_(job), problem_(std::move(problem)), tools_(tools), share_(std::move(share)) {}

  StatusOr<StepGradients> Learn(const LayerConfig& config, std::shared_ptr<const Weights> weights) {
    TCONV_RETURN_IF_ERROR(FetchOnce());
    TrainingPass pass(tools_, config, problem_, std::move(weights), share_);
    const bool needs_output = job_.loss.has_value() || job_.return_output;
    TCONV_RETURN_IF_ERROR(pass.RunForward(std::move(src_), needs_output));
    StepGradients learned;
    learned.layer_losses = ValuesOf(pass.LayerLosses());
    TCONV_ASSIGN_OR_RETURN(Tensor diff_output, DiffOutput(pass, learned.loss));
    TCONV_ASSIGN_OR_RETURN(Gradients gradients,
                           pass.RunBackward(std::move(diff_output),
                                            {.input = job_.return_input_gradient, .weights = true},
                                            /*include_losses=*/true));
    learned.gradients = std::move(gradients.weights);
    input_gradient_ = std::move(gradients.input);
    output_ = pass.TakeOutput();
    src_ = pass.TakeSource();
    return learned;
  }

  // Of the last Learn().
  void MoveTo(TrainStepResult& result) {
    if (job_.return_output) result.output = std::move(output_);
    if (job_.return_input_gradient) result.input_gradient = std::move(input_gradient_);
  }

 private:
  Status FetchOnce() {
    if (is_fetched_) return OkStatus();
    TCONV_ASSIGN_OR_RETURN(src_, Fetch(*job_.input, problem_.dtype, tools_.memory));
    TCONV_ASSIGN_OR_RETURN(signal_, Fetch(*job_.signal, WideTypeOf(problem_.dtype), tools_.memory));
    is_fetched_ = true;
    return OkStatus();
  }

  StatusOr<Tensor> DiffOutput(const TrainingPass& pass, std::optional<double>& loss) const {
    if (job_.loss.has_value()) {
      TCONV_ASSIGN_OR_RETURN(TrainingPass::EvaluatedLoss evaluated,
                             pass.Evaluate(*job_.loss, signal_.view()));
      loss = evaluated.value;
      return std::move(evaluated.diff_output);
    }
    TCONV_ASSIGN_OR_RETURN(Tensor upstream,
                           Tensor::Allocate(signal_.dtype(), signal_.shape(), tools_.memory));
    Convert(signal_.view(), upstream.mutable_view());
    return upstream;
  }

  const TrainStepJob& job_;
  const DeconvProblem problem_;
  const ComputeTools& tools_;
  const CacheShare share_;
  bool is_fetched_ = false;
  Tensor src_;
  Tensor signal_;
  Tensor output_;
  Tensor input_gradient_;
};

// ---- Steps.

StatusOr<StepOutcome> LayerTraining::ApplyGradients(const StepTerms& terms,
                                                    const WeightsSource& gradients) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_.FindBuilt(terms.layer));
  std::optional<Weights> given;
  const auto copy = [&](const LayerConfig& config,
                        const std::shared_ptr<const Weights>& weights) -> StatusOr<StepGradients> {
    if (!given.has_value()) {
      auto fetched = MakeWeights(config, weights->in_channels(), gradients, weights->version);
      if (!fetched.ok()) return InField("gradients", fetched.status());
      given = *std::move(fetched);
    }
    TCONV_ASSIGN_OR_RETURN(const auto used_up, CopyOf(*given));
    return StepGradients{{std::move(used_up->kernel), std::move(used_up->bias)}};
  };
  TCONV_ASSIGN_OR_RETURN(const MadeStep made, MakeStep(*layer, terms, copy));
  return made.outcome();
}

StatusOr<TrainStepResult> LayerTraining::TrainStep(const TrainStepJob& job) {
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Layer> layer, catalog_.FindBuilt(job.terms.layer));
  const auto settings = layer->settings();
  TCONV_ASSIGN_OR_RETURN(
      const DeconvProblem problem,
      MakeDeconvProblem(settings->config, layer->newest().in_channels, job.input->shape()));
  if (problem.dst_shape().num_elements() == 0) {
    return InvalidField("input.shape", "expected an input to learn from, the output of {} is empty",
                        ToString(job.input->shape()));
  }
  TCONV_RETURN_IF_ERROR(
      CheckShape(job.loss.has_value() ? "target" : "upstream", *job.signal, problem.dst_shape()));
  const int64_t answer_bytes =
      (job.return_output ? BytesOf(problem.dtype, problem.dst_shape()) : 0) +
      (job.return_input_gradient ? BytesOf(problem.dtype, problem.src_shape()) : 0);
  TCONV_RETURN_IF_ERROR(CheckBytes(problem, answer_bytes, max_output_bytes_));

  Lesson lesson(job, problem, tools_, quota_.PlanShareOf(job.terms.layer));
  const auto learn = [&lesson](const LayerConfig& config, std::shared_ptr<const Weights> weights) {
    return lesson.Learn(config, std::move(weights));
  };
  TCONV_ASSIGN_OR_RETURN(const MadeStep made, MakeStep(*layer, job.terms, learn));
  TrainStepResult result;
  result.outcome = made.outcome();
  result.loss = made.record.loss;
  result.layer_losses = LossesOfStep(settings->config, made.record.layer_losses);
  if (!made.was_applied_before) lesson.MoveTo(result);
  return result;
}

StatusOr<LayerTraining::MadeStep> LayerTraining::MakeStep(Layer& layer, const StepTerms& terms,
                                                          const GradientsOf& gradients_of) {
  TCONV_RETURN_IF_ERROR(CheckTerms(terms));
  for (int tries = 1;; ++tries) {
    auto made = TryStep(layer, terms, gradients_of);
    const bool has_moved = made.status().code() == StatusCode::kAborted && !layer.is_deleted();
    if (!has_moved || terms.if_version.has_value() || tries == kMostTries) return made;
  }
}

StatusOr<LayerTraining::MadeStep> LayerTraining::TryStep(Layer& layer, const StepTerms& terms,
                                                         const GradientsOf& gradients_of) {
  const auto begin = steady_clock::now();
  TCONV_ASSIGN_OR_RETURN(LayerCatalog::Training training, catalog_.ReadTraining(layer));
  if (!terms.step_id.empty()) {
    const StepRecord* made = training.state.FindStep(terms.step_id);
    if (made != nullptr) return MadeStep{*made, /*was_applied_before=*/true};
  }
  TCONV_RETURN_IF_ERROR(CheckLearns(layer.name(), *training.settings));
  const int64_t version = training.weights_version;
  if (terms.if_version.value_or(version) != version) {
    return VersionMoved(layer.name(), *terms.if_version, version);
  }
  std::shared_ptr<const Weights> weights;
  {
    MutexLock lock(layer.change_mutex());
    TCONV_ASSIGN_OR_RETURN(weights, catalog_.WeightsAt(layer, version));
  }
  const auto read = steady_clock::now();
  const LayerConfig& config = training.settings->config;
  TCONV_ASSIGN_OR_RETURN(StepGradients found, gradients_of(config, weights));
  TCONV_ASSIGN_OR_RETURN(const std::shared_ptr<Weights> next, CopyOf(*weights));
  TCONV_RETURN_IF_ERROR(training.settings->optimizer->Step(
      config, std::move(found.gradients), terms.learning_rate, *next, training.state.optimizer));
  TCONV_ASSIGN_OR_RETURN(StepRecord record, Advance(layer, training,
                                                    {.step_id = terms.step_id,
                                                     .loss = found.loss,
                                                     .layer_losses = std::move(found.layer_losses)},
                                                    next));
  return MadeStep{std::move(record), /*was_applied_before=*/false, read - begin};
}

StatusOr<StepRecord> LayerTraining::Advance(Layer& layer, LayerCatalog::Training& training,
                                            StepRecord record, std::shared_ptr<Weights> weights) {
  record.weights_version = training.weights_version + 1;
  record.iterations = training.state.optimizer.iterations;
  if (!record.step_id.empty()) training.state.AddStep(record);
  MutexLock lock(layer.change_mutex());
  TCONV_RETURN_IF_ERROR(
      catalog_.AdvanceStep(layer, std::move(weights), training.state, training.base()).status());
  return record;
}

}  // namespace tconv::server
