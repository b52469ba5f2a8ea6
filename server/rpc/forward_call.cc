#include "server/rpc/forward_call.h"

#include <utility>

#include "server/rpc/layer_info_codec.h"
#include "server/rpc/shared_tensor.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

constexpr int kInputPath[] = {v1::ForwardRequest::kInputFieldNumber};
constexpr int kOutputDataPath[] = {v1::ForwardResponse::kOutputFieldNumber,
                                   v1::Tensor::kDataFieldNumber};

}  // namespace

// ---- In any protocol.

Status UnaryForwardCall::Accept() {
  observer().set_forward({});
  TCONV_ASSIGN_OR_RETURN(ForwardTerms terms, TakeTerms());
  Expect(std::move(terms), caller());
  return OkStatus();
}

void UnaryForwardCall::EndWith(const ForwardJob& job) {
  observer().times().plan = job.times.plan;
  observer().times().compute = job.times.compute;
  observer().set_forward(job.facts);
  if (!job.result.ok()) return End(job.result.status());
  AnswerWith(*job.result);
}

// ---- In tconv.v1.

StatusOr<ForwardTerms> ForwardCall::TakeTerms() {
  TCONV_RETURN_IF_ERROR(UseLayer(request_.name()));
  TCONV_RETURN_IF_ERROR(CheckMinVersion(request_.min_version()));
  if (!request_.has_input()) return InvalidField("input", "expected a tensor, got none");
  auto input = SourceOf(request_.input(), kInputPath, payloads(), memory_);
  if (!input.ok()) return InField("input", input.status());
  ForwardTerms terms = {.name = request_.name(),
                        .input = *std::move(input),
                        .compute_losses = request_.compute_losses(),
                        .min_version = request_.min_version()};
  if (request_.has_output()) {
    auto room = RoomOf(request_.output(), *terms.input, memory_);
    if (!room.ok()) return InField("output", room.status());
    terms.room = *std::move(room);
  }
  return terms;
}

void ForwardCall::AnswerWith(const ForwardResult& result) {
  v1::ForwardResponse response;
  ToProto(result.output, response.mutable_output());
  response.set_weights_version(result.weights_version);
  for (const Loss& loss : result.losses) *response.add_losses() = ToProto(loss);
  if (request_.has_output()) {
    *response.mutable_output()->mutable_region() = request_.output().region();
    return Answer(response);
  }
  const codec::PlacedPayload output = {kOutputDataPath, PayloadOf(result.output, result.owner)};
  Answer(response, {&output, 1});
}

}  // namespace tconv::server
