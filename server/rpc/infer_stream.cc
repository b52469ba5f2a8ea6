#include "server/rpc/infer_stream.h"

#include <absl/status/status.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proto/codec/payload_codec.h"
#include "server/host/stay.h"
#include "server/rpc/infer_call.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/waiting_forward.h"
#include "server/wire/tensor_codec.h"

namespace tconv::server {
namespace {

using inference::ModelInferResponse;
using inference::ModelStreamInferResponse;
using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

class StreamedInfer;

// Whoever hears of the answer to a streamed request.
class AnswerListener {
 public:
  virtual ~AnswerListener() = default;
  // The answer is there; it is the last that `request` does.
  virtual void OnAnswer(StreamedInfer& request) = 0;
};

// One request of a stream, from its arrival until its answer is delivered: a call of its own for
// the queue, the limits of its caller, and whoever counts.
class StreamedInfer final : public QueuedCall, public WaitingForward {
 public:
  StreamedInfer(LayerHost& host, const Method& method, AnswerListener& listener,
                std::chrono::system_clock::time_point stream_deadline)
      : WaitingForward(host),
        queue_(*method.queue),
        telemetry_(*method.telemetry),
        listener_(listener),
        stream_deadline_(stream_deadline) {}

  // INVALID_ARGUMENT: the bytes are no request.
  Status Parse(grpc::ByteBuffer* received) {
    TCONV_ASSIGN_OR_RETURN(payloads_,
                           codec::ReceivedPayloads::Parse(received, &request_.message()));
    return OkStatus();
  }
  const std::string& model() const { return request_.message().model_name(); }

  // Takes its place in the house. On an error it may be failed.
  Status Accept(StatusOr<Stay> stay, const Caller& caller) {
    TCONV_RETURN_IF_ERROR(stay.status());
    stay_.emplace(*std::move(stay));
    TCONV_ASSIGN_OR_RETURN(ForwardTerms terms, request_.TakeTerms(payloads_));
    Expect(std::move(terms), caller);
    return OkStatus();
  }

  void Submit() {
    submitted_ = CallObserver::Clock::now();
    SubmitTo(queue_, *this);
  }
  void Abandon() { AbandonIn(queue_, *this); }

  // Answers with an error, without a turn.
  void Fail(const Status& why) {
    ModelStreamInferResponse response;
    response.set_error_message(absl::StatusCodeToString(why.code()) + ": " + MessageOf(why));
    ModelInferResponse& answer = *response.mutable_infer_response();
    answer.set_model_name(model());
    answer.set_model_version(request_.message().model_version());
    answer.set_id(request_.message().id());
    TakeAnswer(codec::Encode(response), why);
  }

  // Of the stream: whether it has heard of the answer, which is not touched here any more then.
  bool has_answer = false;
  grpc::ByteBuffer& answer() { return answer_; }

  // QueuedCall:
  std::string_view flow() const override { return terms().name; }
  std::chrono::system_clock::time_point deadline() const override {
    return std::min(stream_deadline_, terms().deadline);
  }
  std::chrono::nanoseconds least_time() const override { return LeastTime(); }
  bool CanRunWith(const QueuedCall& other) const override { return MayJoin(other); }
  void Run(std::span<QueuedCall* const> companions) override {
    BeginTurn();
    ComputeWith(companions);
  }
  void Drop(const Status& why) override {
    Fail(why);
    listener_.OnAnswer(*this);
  }

 private:
  void BeginTurn() override { times_.queue = CallObserver::Clock::now() - submitted_; }

  void EndWith(const ForwardJob& job) override {
    times_.plan = job.times.plan;
    times_.compute = job.times.compute;
    facts_ = job.facts;
    if (job.result.ok()) {
      const auto begin = CallObserver::Clock::now();
      StatusOr<grpc::ByteBuffer> encoded = Encoded(*job.result);
      times_.serialize = CallObserver::Clock::now() - begin;
      if (encoded.ok()) {
        TakeAnswer(std::move(encoded), OkStatus());
      } else {
        Fail(encoded.status());
      }
    } else {
      Fail(job.result.status());
    }
    listener_.OnAnswer(*this);
  }

  StatusOr<grpc::ByteBuffer> Encoded(const ForwardResult& result) {
    constexpr static int kPath[] = {ModelStreamInferResponse::kInferResponseFieldNumber,
                                    ModelInferResponse::kRawOutputContentsFieldNumber, 0};
    InferRequest::Answer answer = request_.AnswerWith(result);
    ModelStreamInferResponse response;
    *response.mutable_infer_response() = std::move(answer.message);
    if (!answer.is_raw) return codec::Encode(response);
    return codec::Encode(response, {{kPath, PayloadOf(result.output, result.owner)}});
  }

  // `encoded` is not too large for a message.
  void TakeAnswer(StatusOr<grpc::ByteBuffer> encoded, const Status& outcome) {
    answer_ = *std::move(encoded);
    telemetry_.CountForward(
        {model(), outcome.ok(), facts_, times_, CallObserver::Clock::now() - arrival_});
  }

  AdmissionQueue& queue_;
  CallTelemetry& telemetry_;
  AnswerListener& listener_;
  const std::chrono::system_clock::time_point stream_deadline_;
  const CallObserver::Clock::time_point arrival_ = CallObserver::Clock::now();
  CallObserver::Clock::time_point submitted_;
  InferRequest request_;
  codec::ReceivedPayloads payloads_;
  std::optional<Stay> stay_;
  CallTimes times_;
  ForwardFacts facts_;
  grpc::ByteBuffer answer_;
};

// Reads on while less than kMostStreamedRequests are under way.
class InferStreamCall final : public StreamReactor<Reactor, StreamCall>, public AnswerListener {
 public:
  InferStreamCall(LayerHost& host, const Method& method, grpc::CallbackServerContext& context)
      : StreamReactor(method, context), host_(host), method_(method) {}

 private:
  void OnReadDone(bool ok) override { React(this, &InferStreamCall::TakeMessage, ok); }
  void OnWriteDone(bool ok) override { React(this, &InferStreamCall::AfterWrite, ok); }
  void OnAnswer(StreamedInfer& request) override {
    React(this, &InferStreamCall::AfterWork, &request);
  }

  // ---- Receiving.

  void Listen() override TCONV_REQUIRES(mutex_) {
    BeginReceiving();
    StartRead(&received_);
  }

  // A caller owes nothing while it waits for answers.
  bool OwesMessage() const override TCONV_REQUIRES(mutex_) {
    return is_receiving() && requests_.empty();
  }

  void TakeMessage(bool ok) TCONV_REQUIRES(mutex_) {
    EndReceiving();
    if (has_ended()) return;
    if (ok) {
      const Status status = TakeRequest();
      if (!status.ok()) return End(status);
    } else {
      is_input_ended_ = true;
    }
    Proceed();
  }

  Status TakeRequest() TCONV_REQUIRES(mutex_) {
    const size_t bytes = received_.Length();
    CountReceived(bytes);
    auto request = std::make_unique<StreamedInfer>(host_, method_, *this, call_deadline());
    // Whom it would be answered to is not known otherwise.
    TCONV_RETURN_IF_ERROR(request->Parse(&received_));
    observer().set_layer(request->model());
    Status accepted = caller().CheckLayer(request->model());
    if (accepted.ok())
      accepted = request->Accept(EnterHouse(static_cast<int64_t>(bytes)), caller());
    if (accepted.ok()) {
      unsubmitted_ = request.get();
    } else {
      request->Fail(accepted);
      request->has_answer = true;
    }
    requests_.push_back(std::move(request));
    return OkStatus();
  }

  // ---- Computing.

  bool BeginWork() override TCONV_REQUIRES(mutex_) {
    if (unsubmitted_ == nullptr) return false;
    submitting_.push_back(std::exchange(unsubmitted_, nullptr));
    ++computing_;
    return true;
  }
  bool IsWorking() const override TCONV_REQUIRES(mutex_) { return computing_ > 0; }

  void Submit() override {
    std::vector<StreamedInfer*> requests;
    {
      MutexLock lock(mutex_);
      requests.swap(submitting_);
    }
    for (StreamedInfer* request : requests) request->Submit();
  }

  // Once the call has ended, no request goes before the call does.
  void Abandon() override {
    std::vector<StreamedInfer*> requests;
    {
      MutexLock lock(mutex_);
      for (const auto& request : requests_) requests.push_back(request.get());
    }
    for (StreamedInfer* request : requests) request->Abandon();
  }

  void AfterWork(StreamedInfer* request) TCONV_REQUIRES(mutex_) {
    request->has_answer = true;
    --computing_;
    Proceed();
  }

  // ---- Sending.

  void AfterWrite(bool ok) TCONV_REQUIRES(mutex_) {
    EndSending();
    if (has_ended()) return;
    if (!ok) return End(Status(StatusCode::kCancelled, "the caller takes no more answers"));
    requests_.pop_front();
    AwaitCaller();
    Proceed();
  }

  void SendAnswer() TCONV_REQUIRES(mutex_) {
    grpc::ByteBuffer& answer = requests_.front()->answer();
    CountSent(answer.Length());
    BeginSending();
    StartWrite(&answer);
  }

  // Whatever can go on does.
  void Proceed() TCONV_REQUIRES(mutex_) {
    if (has_ended()) return;
    if (is_input_ended_ && requests_.empty()) return End(OkStatus());
    if (!is_sending() && !requests_.empty() && requests_.front()->has_answer) SendAnswer();
    if (!is_input_ended_ && !is_receiving() && requests_.size() < kMostStreamedRequests) Listen();
  }

  LayerHost& host_;
  const Method& method_;
  grpc::ByteBuffer received_;  // by the read under way
  // In the order of their arrival, and of their answers.
  std::deque<std::unique_ptr<StreamedInfer>> requests_ TCONV_GUARDED_BY(mutex_);
  StreamedInfer* unsubmitted_ TCONV_GUARDED_BY(mutex_) = nullptr;  // the one that has come
  std::vector<StreamedInfer*> submitting_ TCONV_GUARDED_BY(mutex_);
  size_t computing_ TCONV_GUARDED_BY(mutex_) = 0;  // that have no answer yet
  bool is_input_ended_ TCONV_GUARDED_BY(mutex_) = false;
};

}  // namespace

Reactor* StartInferStream(LayerHost& host, const Method& method,
                          grpc::CallbackServerContext& context) {
  auto* call = new InferStreamCall(host, method, context);
  call->Begin();
  return call;
}

}  // namespace tconv::server
