#include "server/rpc/model_info_codec.h"

#include <chrono>
#include <cstdint>

#include "server/wire/inference_codec.h"

namespace tconv::server {
namespace {

constexpr char kPlatform[] = "tconv_onednn";
constexpr char kBackend[] = "onednn";

void SetTensor(const char* name, DType dtype, const PartialShape& shape,
               inference::ModelMetadataResponse::TensorMetadata* out) {
  out->set_name(name);
  out->set_datatype(std::string(DatatypeOf(dtype)));
  out->mutable_shape()->Assign(shape.begin(), shape.end());
}

// ModelInput and ModelOutput say it in the same words.
template <typename Tensor>
void SetTensor(const char* name, DType dtype, const PartialShape& shape, Tensor* out) {
  out->set_name(name);
  out->set_data_type(DataTypeOf(dtype));
  out->mutable_dims()->Assign(shape.begin(), shape.end());
}

inference::StatisticDuration ToProto(const DurationSum& sum) {
  inference::StatisticDuration out;
  out.set_count(static_cast<uint64_t>(sum.count));
  out.set_ns(static_cast<uint64_t>(sum.time.count()));
  return out;
}

uint64_t MillisSince1970(std::chrono::system_clock::time_point time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

}  // namespace

std::string VersionText(const ModelInfo& model) {
  return model.version == 0 ? std::string() : std::to_string(model.version);
}

void ToProto(const ModelInfo& model, inference::ModelMetadataResponse* out) {
  out->set_name(model.name);
  if (model.version > 0) out->add_versions(VersionText(model));
  out->set_platform(kPlatform);
  SetTensor(kModelInput, model.dtype, model.input_shape, out->add_inputs());
  SetTensor(kModelOutput, model.dtype, model.output_shape, out->add_outputs());
}

void ToProto(const ModelInfo& model, inference::ModelConfig* out) {
  out->set_name(model.name);
  out->set_platform(kPlatform);
  out->set_backend(kBackend);
  out->mutable_version_policy()->mutable_latest()->set_num_versions(1);
  SetTensor(kModelInput, model.dtype, model.input_shape, out->add_input());
  SetTensor(kModelOutput, model.dtype, model.output_shape, out->add_output());
}

void ToProto(const ModelInfo& model, inference::RepositoryIndexResponse::ModelIndex* out) {
  out->set_name(model.name);
  out->set_version(VersionText(model));
  out->set_state(model.state.ok() ? "READY" : "UNAVAILABLE");
  out->set_reason(MessageOf(model.state));
}

void ToProto(const std::string& name, const VersionStatistics& statistics,
             inference::ModelStatistics* out) {
  out->set_name(name);
  out->set_version(std::to_string(statistics.version));
  out->set_last_inference(MillisSince1970(statistics.last_answer));
  out->set_inference_count(static_cast<uint64_t>(statistics.images));
  out->set_execution_count(static_cast<uint64_t>(statistics.computations));
  inference::InferStatistics& calls = *out->mutable_inference_stats();
  *calls.mutable_success() = ToProto(statistics.answered);
  *calls.mutable_fail() = ToProto(statistics.failed);
  *calls.mutable_queue() = ToProto(statistics.queue);
  *calls.mutable_compute_input() = ToProto(statistics.plan);
  *calls.mutable_compute_infer() = ToProto(statistics.compute);
  *calls.mutable_compute_output() = ToProto(statistics.serialize);
}

}  // namespace tconv::server
