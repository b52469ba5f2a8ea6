#include "client/src/unary_call.h"

#include <grpcpp/generic/generic_stub.h>

#include <string>
#include <utility>

#include "proto/codec/stream_format.h"

namespace tconv {
namespace {

// Lets the server refuse a large message before it reads it.
constexpr size_t kAnnouncedBytes = size_t{64} << 10;

class UnaryCall final : public Call {
 public:
  using Done = std::function<void(absl::StatusOr<UnaryAnswer>)>;

  UnaryCall(std::shared_ptr<const Endpoint> endpoint, CallTerms terms, grpc::ByteBuffer request,
            grpc::CompletionQueue& queue, Done done)
      : Call(std::move(endpoint), std::move(terms), queue),
        request_(std::move(request)),
        done_(std::move(done)),
        finished_([this](bool) { OnFinished(); }) {}

  using Call::Start;

 private:
  void StartAttempt() override {
    const size_t bytes = request_.Length();
    if (bytes > kAnnouncedBytes)
      context().AddMetadata(codec::kMessageBytesKey, std::to_string(bytes));
    // The request is shared with gRPC: another attempt sends it again.
    reader_ = grpc::GenericStub(endpoint().channel)
                  .PrepareUnaryCall(&context(), terms().method, request_, &queue());
    reader_->StartCall();
    reader_->Finish(&answer_, &status_, finished_.tag());
  }

  void OnFinished() {
    reader_.reset();  // it lies in memory of the context
    EndAttempt(Explain(status_));
  }

  void Deliver(absl::Status status) override {
    if (!status.ok()) return done_(std::move(status));
    done_(UnaryAnswer{std::move(answer_), Timing()});
  }

  const grpc::ByteBuffer request_;
  const Done done_;
  Completion finished_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer answer_;
  grpc::Status status_;
};

}  // namespace

void StartUnaryCall(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                    grpc::ByteBuffer request, grpc::CompletionQueue& queue,
                    std::function<void(absl::StatusOr<UnaryAnswer>)> done) {
  // It destroys itself when it ends.
  (new UnaryCall(std::move(endpoint), std::move(terms), std::move(request), queue, std::move(done)))
      ->Start();
}

}  // namespace tconv
