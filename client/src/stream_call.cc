#include "client/src/stream_call.h"

#include <grpcpp/generic/generic_stub.h>

#include <utility>

namespace tconv {
namespace {

class StreamCall final : public Call {
 public:
  using Done = std::function<void(absl::StatusOr<std::optional<ServerTiming>>)>;

  StreamCall(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
             std::shared_ptr<Conversation> conversation, grpc::CompletionQueue& queue, Done done)
      : Call(std::move(endpoint), std::move(terms), queue),
        conversation_(std::move(conversation)),
        done_(std::move(done)),
        started_([this](bool ok) { OnStarted(ok); }),
        written_([this](bool ok) { OnWritten(ok); }),
        received_([this](bool ok) { OnReceived(ok); }),
        finished_([this](bool) { OnFinished(); }) {}

  using Call::Start;

 private:
  void StartAttempt() override {
    conversation_->Restart();
    error_ = absl::OkStatus();
    is_writing_ = is_reading_ = false;
    stream_ =
        grpc::GenericStub(endpoint().channel).PrepareCall(&context(), terms().method, &queue());
    stream_->StartCall(started_.tag());
  }

  void OnStarted(bool ok) {
    if (!ok) return Finish();
    is_reading_ = true;
    stream_->Read(&message_, received_.tag());
    WriteNext();
  }

  // After the last message the server is told so, which is a write as well.
  void WriteNext() {
    absl::StatusOr<std::optional<grpc::ByteBuffer>> message = conversation_->NextMessage();
    if (!message.ok()) return Abandon(message.status());
    is_writing_ = true;
    has_more_ = message->has_value();
    if (has_more_) {
      stream_->Write(**message, written_.tag());
    } else {
      stream_->WritesDone(written_.tag());
    }
  }

  void OnWritten(bool ok) {
    is_writing_ = false;
    if (!is_reading_) return Finish();
    // Without `ok` the call has ended; reading tells how.
    if (ok && has_more_ && error_.ok()) WriteNext();
  }

  void OnReceived(bool ok) {
    if (!ok) {
      is_reading_ = false;
      if (!is_writing_) Finish();
      return;
    }
    // After an error, what is left is only read until the call has ended.
    if (error_.ok()) {
      if (absl::Status status = conversation_->Take(std::move(message_)); !status.ok()) {
        Abandon(std::move(status));
      }
    }
    message_.Clear();
    stream_->Read(&message_, received_.tag());
  }

  void Abandon(absl::Status error) {
    error_ = std::move(error);
    context().TryCancel();
  }

  void Finish() { stream_->Finish(&status_, finished_.tag()); }

  void OnFinished() {
    stream_.reset();  // it lies in memory of the context
    absl::Status status = !error_.ok() ? std::move(error_) : Explain(status_);
    if (status.ok()) status = conversation_->CheckComplete();
    EndAttempt(std::move(status));
  }

  void Deliver(absl::Status status) override {
    if (!status.ok()) return done_(std::move(status));
    done_(Timing());
  }

  const std::shared_ptr<Conversation> conversation_;
  const Done done_;
  Completion started_, written_, received_, finished_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::ByteBuffer message_;
  bool is_writing_ = false;
  bool is_reading_ = false;
  bool has_more_ = true;
  absl::Status error_;  // of the conversation
  grpc::Status status_;
};

}  // namespace

void StartStreamCall(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                     std::shared_ptr<Conversation> conversation, grpc::CompletionQueue& queue,
                     std::function<void(absl::StatusOr<std::optional<ServerTiming>>)> done) {
  // It destroys itself when it ends.
  (new StreamCall(std::move(endpoint), std::move(terms), std::move(conversation), queue,
                  std::move(done)))
      ->Start();
}

}  // namespace tconv
