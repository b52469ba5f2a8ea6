#include "server/rpc/infer_call.h"

#include <utility>

#include "server/wire/tensor_codec.h"

namespace tconv::server {

StatusOr<ForwardTerms> InferRequest::TakeTerms(codec::ReceivedPayloads& payloads) {
  TCONV_ASSIGN_OR_RETURN(terms_, InferTermsFromProto(message_));
  TCONV_ASSIGN_OR_RETURN(auto input, InferInputFromProto(message_, payloads));
  ForwardTerms terms = {.name = message_.model_name(), .input = std::move(input)};
  terms.exact_version = terms_.version;
  if (terms_.timeout.count() > 0) {
    terms.deadline = std::chrono::system_clock::now() + terms_.timeout;
  }
  return terms;
}

InferRequest::Answer InferRequest::AnswerWith(const ForwardResult& result) const {
  Answer answer;
  ToProto(message_, terms_, result.output, result.weights_version, &answer.message);
  answer.is_raw = HasRawOutput(message_, result.output.dtype);
  return answer;
}

StatusOr<ForwardTerms> InferCall::TakeTerms() {
  TCONV_RETURN_IF_ERROR(UseLayer(request_.message().model_name()));
  return request_.TakeTerms(payloads());
}

void InferCall::AnswerWith(const ForwardResult& result) {
  constexpr static int kPath[] = {inference::ModelInferResponse::kRawOutputContentsFieldNumber, 0};
  const InferRequest::Answer answer = request_.AnswerWith(result);
  if (!answer.is_raw) return Answer(answer.message);
  const codec::PlacedPayload output = {kPath, PayloadOf(result.output, result.owner)};
  Answer(answer.message, {&output, 1});
}

}  // namespace tconv::server
