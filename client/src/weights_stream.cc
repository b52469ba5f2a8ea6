#include "client/src/weights_stream.h"

#include <tconv/v1/transposed_conv.pb.h>

#include <optional>
#include <utility>
#include <vector>

#include "client/src/element_messages.h"
#include "client/src/stream_call.h"
#include "client/src/tensor_fields.h"
#include "client/src/wire.h"

namespace tconv {
namespace {

v1::SetWeightsStreamRequest MakeStart(const std::string& layer, const NewWeights& weights) {
  v1::SetWeightsStreamRequest request;
  v1::SetWeightsStreamStart& start = *request.mutable_start();
  start.set_name(layer);
  *start.mutable_kernel() = ToProto(weights.weights.kernel.info());
  if (weights.weights.bias) *start.mutable_bias() = ToProto(weights.weights.bias->info());
  if (weights.if_version) start.set_if_version(*weights.if_version);
  return request;
}

OrderedTensor InItsOrder(const Tensor& tensor) {
  return {tensor, StreamOrder(tensor.bytes().size())};
}

std::vector<OrderedTensor> TensorsOf(const Weights& weights) {
  std::vector<OrderedTensor> tensors = {InItsOrder(weights.kernel)};
  if (weights.bias) tensors.push_back(InItsOrder(*weights.bias));
  return tensors;
}

class SetWeightsConversation final : public Conversation {
 public:
  SetWeightsConversation(const std::string& layer, const NewWeights& weights,
                         std::shared_ptr<MemoryPool> memory)
      : sender_(MakeStart(layer, weights),
                MakeSource(TensorsOf(weights.weights), std::move(memory))) {}

  // After the call has ended with OK.
  int64_t version() const { return *version_; }

  void Restart() override {
    sender_.Restart();
    version_.reset();
  }

  absl::StatusOr<std::optional<grpc::ByteBuffer>> NextMessage() override { return sender_.Next(); }

  absl::Status Take(grpc::ByteBuffer message) override {
    v1::SetWeightsStreamResponse response;
    const auto received = ParseAnswer(&message, &response);
    if (!received.ok()) return received.status();
    if (version_) return ElementReceiver::Malformed("expected one answer, got two");
    version_ = response.weights_version();
    return absl::OkStatus();
  }

  absl::Status CheckComplete() const override {
    return version_ ? absl::OkStatus() : ElementReceiver::Malformed("has no answer");
  }

 private:
  ElementSender<v1::SetWeightsStreamRequest> sender_;
  std::optional<int64_t> version_;
};

class GetWeightsConversation final : public Conversation {
 public:
  GetWeightsConversation(const std::string& layer, std::shared_ptr<MemoryPool> memory)
      : memory_(std::move(memory)) {
    request_.set_name(layer);
  }

  void Restart() override {
    is_asked_ = false;
    bias_.reset();
    receiver_.Restart();
  }

  absl::StatusOr<std::optional<grpc::ByteBuffer>> NextMessage() override {
    if (std::exchange(is_asked_, true)) return std::nullopt;
    return codec::Encode(request_);
  }

  absl::Status Take(grpc::ByteBuffer message) override {
    v1::GetWeightsStreamResponse response;
    auto received = ParseAnswer(&message, &response);
    if (!received.ok()) return received.status();
    switch (response.part_case()) {
      case v1::GetWeightsStreamResponse::kStart:
        return Begin(response.start());
      case v1::GetWeightsStreamResponse::kData:
        return receiver_.Take(*received);
      case v1::GetWeightsStreamResponse::kEnd:
        return receiver_.End(response.end());
      default:
        return ElementReceiver::Malformed("got a message without a part");
    }
  }

  absl::Status CheckComplete() const override { return receiver_.CheckComplete(); }

  // After the call has ended with OK.
  absl::StatusOr<VersionedWeights> TakeResult() {
    VersionedWeights result{.version = version_};
    auto kernel = std::move(kernel_).ToTensor();
    if (!kernel.ok()) return kernel.status();
    result.weights.kernel = *std::move(kernel);
    if (!bias_) return result;
    auto bias = (*std::move(bias_)).ToTensor();
    if (!bias.ok()) return bias.status();
    result.weights.bias = *std::move(bias);
    return result;
  }

 private:
  // A tensor whose elements are still coming.
  struct Arriving {
    TensorInfo info = {};
    size_t bytes = 0;
    std::shared_ptr<std::byte> memory = {};

    OrderedMemory place() const {
      return {.memory = {memory.get(), bytes}, .order = StreamOrder(bytes)};
    }
    absl::StatusOr<Tensor> ToTensor() && {
      return Tensor::FromMemory(info.dtype, std::move(info.shape), {memory.get(), bytes}, memory);
    }
  };

  absl::StatusOr<Arriving> Expect(const v1::TensorHeader& header) {
    Arriving tensor{.info = FromProto(header)};
    const auto bytes = AnnouncedBytes(tensor.info);
    if (!bytes.ok()) return bytes.status();
    tensor.bytes = *bytes;
    auto memory = memory_->Allocate(*bytes);
    if (!memory.ok()) return memory.status();
    tensor.memory = *std::move(memory);
    return tensor;
  }

  absl::Status Begin(const v1::GetWeightsStreamStart& start) {
    version_ = start.weights_version();
    auto kernel = Expect(start.kernel());
    if (!kernel.ok()) return kernel.status();
    kernel_ = *std::move(kernel);
    std::vector<OrderedMemory> places = {kernel_.place()};
    size_t bytes = kernel_.bytes;
    if (start.has_bias()) {
      auto bias = Expect(start.bias());
      if (!bias.ok()) return bias.status();
      bias_ = *std::move(bias);
      places.push_back(bias_->place());
      bytes += bias_->bytes;
    }
    return receiver_.Begin(MakeSink(std::move(places)), bytes);
  }

  const std::shared_ptr<MemoryPool> memory_;
  v1::GetWeightsStreamRequest request_;
  bool is_asked_ = false;
  ElementReceiver receiver_;
  int64_t version_ = 0;
  Arriving kernel_;
  std::optional<Arriving> bias_;
};

}  // namespace

void StartSetWeightsStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                           const std::string& layer, const NewWeights& weights,
                           grpc::CompletionQueue& queue,
                           std::function<void(absl::StatusOr<int64_t>)> done) {
  const auto conversation =
      std::make_shared<SetWeightsConversation>(layer, weights, endpoint->memory);
  const auto finish = [conversation, done](absl::StatusOr<std::optional<ServerTiming>> ended) {
    if (!ended.ok()) return done(ended.status());
    done(conversation->version());
  };
  StartStreamCall(std::move(endpoint), std::move(terms), conversation, queue, finish);
}

void StartGetWeightsStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                           const std::string& layer, grpc::CompletionQueue& queue,
                           std::function<void(absl::StatusOr<VersionedWeights>)> done) {
  const auto conversation = std::make_shared<GetWeightsConversation>(layer, endpoint->memory);
  const auto finish = [conversation, done](absl::StatusOr<std::optional<ServerTiming>> ended) {
    if (!ended.ok()) return done(ended.status());
    done(conversation->TakeResult());
  };
  StartStreamCall(std::move(endpoint), std::move(terms), conversation, queue, finish);
}

}  // namespace tconv
