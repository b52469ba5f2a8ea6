#include "server/rpc/forward_call.h"

#include <deque>
#include <new>
#include <vector>

#include "server/rpc/layer_info_codec.h"
#include "server/rpc/shared_tensor.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

constexpr int kInputPath[] = {v1::ForwardRequest::kInputFieldNumber};
constexpr int kOutputDataPath[] = {v1::ForwardResponse::kOutputFieldNumber,
                                   v1::Tensor::kDataFieldNumber};

}  // namespace

Status ForwardCall::Accept() {
  TCONV_RETURN_IF_ERROR(UseLayer(request_.name()));
  TCONV_RETURN_IF_ERROR(CheckMinVersion(request_.min_version()));
  if (!request_.has_input()) return InvalidField("input", "expected a tensor, got none");
  auto input = SourceOf(request_.input(), kInputPath, payloads(), memory_);
  if (!input.ok()) return InField("input", input.status());
  input_ = *std::move(input);
  if (request_.has_output()) {
    auto room = RoomOf(request_.output(), *input_, memory_);
    if (!room.ok()) return InField("output", room.status());
    room_ = *std::move(room);
  }
  outlook_ = host_.OutlookOf(request_.name(), input_->shape());
  return OkStatus();
}

void ForwardCall::AskForTurn() {
  host_.SubmitWithVersion(request_.name(), request_.min_version(), *this, queue());
}

void ForwardCall::GiveUpTurn() {
  if (!host_.AbandonWaiter(*this)) UnaryCall::GiveUpTurn();
}

bool ForwardCall::CanRunWith(const QueuedCall& other) const {
  const auto* forward = dynamic_cast<const ForwardCall*>(&other);
  // Penalties of the activity are those of a whole batch, and an output with room of
  // its own is computed there.
  const auto may_join = [](const ForwardCall& call) {
    return call.outlook_.gains_together && !call.request_.compute_losses() &&
           !call.room_.has_value();
  };
  return forward != nullptr && may_join(*this) && may_join(*forward) &&
         input_->shape() == forward->input_->shape();
}

void ForwardCall::Serve(std::span<QueuedCall* const> companions) {
  std::vector<ForwardCall*> calls = {this};
  for (QueuedCall* companion : companions) {
    calls.push_back(static_cast<ForwardCall*>(companion));
    calls.back()->NoteTurn();
  }
  std::deque<ForwardJob> jobs;
  std::vector<ForwardJob*> job_list;
  for (ForwardCall* call : calls) {
    const v1::ForwardRequest& request = call->request_;
    job_list.push_back(&jobs.emplace_back(request.name(), *call->input_, request.compute_losses()));
    jobs.back().min_version = request.min_version();
    jobs.back().room = call->room_;
  }
  try {
    host_.ForwardTogether(job_list);
  } catch (const std::bad_alloc&) {
    for (ForwardJob* job : job_list) job->result = OutOfMemory();
  }
  for (size_t i = 0; i < calls.size(); ++i) calls[i]->AnswerWith(jobs[i]);
}

void ForwardCall::AnswerWith(const ForwardJob& job) {
  observer().times().plan = job.times.plan;
  observer().times().compute = job.times.compute;
  if (!job.result.ok()) return End(job.result.status());
  observer().set_forward(job.facts);
  const ForwardResult& result = *job.result;
  v1::ForwardResponse response;
  ToProto(result.output, response.mutable_output());
  response.set_weights_version(result.weights_version);
  for (const Loss& loss : result.losses) *response.add_losses() = ToProto(loss);
  if (room_.has_value()) {
    *response.mutable_output()->mutable_region() = request_.output().region();
    return Answer(response);
  }
  const codec::PlacedPayload output = {kOutputDataPath, PayloadOf(result.output, result.owner)};
  Answer(response, {&output, 1});
}

}  // namespace tconv::server
