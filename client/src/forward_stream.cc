#include "client/src/forward_stream.h"

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

v1::ForwardStreamRequest MakeStart(const std::string& layer, const TensorInfo& input,
                                   const ForwardStreamOptions& options) {
  v1::ForwardStreamRequest request;
  v1::ForwardStreamStart& start = *request.mutable_start();
  start.set_name(layer);
  *start.mutable_input() = ToProto(input);
  start.set_compute_losses(options.compute_losses);
  start.set_min_version(options.min_version);
  return request;
}

class ForwardConversation : public Conversation {
 public:
  ForwardConversation(v1::ForwardStreamRequest start, std::unique_ptr<ElementSource> input)
      : sender_(std::move(start), std::move(input)) {}

  // After the call has ended with OK.
  ForwardStreamResult& result() { return result_; }

  void Restart() override {
    sender_.Restart();
    receiver_.Restart();
  }

  absl::StatusOr<std::optional<grpc::ByteBuffer>> NextMessage() override { return sender_.Next(); }

  absl::Status Take(grpc::ByteBuffer message) override {
    v1::ForwardStreamResponse response;
    auto received = ParseAnswer(&message, &response);
    if (!received.ok()) return received.status();
    switch (response.part_case()) {
      case v1::ForwardStreamResponse::kStart:
        return Begin(response.start());
      case v1::ForwardStreamResponse::kData:
        return receiver_.Take(*received);
      case v1::ForwardStreamResponse::kEnd:
        result_.losses = {response.end().losses().begin(), response.end().losses().end()};
        return receiver_.End(response.end().end());
      default:
        return ElementReceiver::Malformed("got a message without a part");
    }
  }

  absl::Status CheckComplete() const override { return receiver_.CheckComplete(); }

 private:
  // Where the output goes, once its type and shape are known.
  virtual absl::StatusOr<std::unique_ptr<ElementSink>> MakeOutput(
      const v1::ForwardStreamResult& start, const TensorInfo& info, size_t bytes) = 0;

  absl::Status Begin(const v1::ForwardStreamResult& start) {
    result_.output = FromProto(start.output());
    result_.weights_version = start.weights_version();
    const auto bytes = AnnouncedBytes(result_.output);
    if (!bytes.ok()) return bytes.status();
    auto sink = MakeOutput(start, result_.output, *bytes);
    if (!sink.ok()) return sink.status();
    return receiver_.Begin(*std::move(sink), *bytes);
  }

  ElementSender<v1::ForwardStreamRequest> sender_;
  ElementReceiver receiver_;
  ForwardStreamResult result_;
};

// From and to tensors.
class TensorConversation final : public ForwardConversation {
 public:
  TensorConversation(const std::string& layer, const Tensor& input,
                     const ForwardStreamOptions& options, bool is_channels_first,
                     std::shared_ptr<MemoryPool> memory)
      : ForwardConversation(MakeStart(layer, input.info(), options),
                            MakeSource({{input, Order(input.info(), is_channels_first)}}, memory)),
        is_channels_first_(is_channels_first),
        memory_(std::move(memory)) {}

  // Whether the layer has the other data format; the call has failed then.
  bool HasWrongOrder() const { return has_wrong_order_; }

  // After the call has ended with OK.
  absl::StatusOr<ForwardResult> TakeResult(std::optional<ServerTiming> timing) {
    TensorInfo& info = result().output;
    auto output =
        Tensor::FromMemory(info.dtype, std::move(info.shape), {output_.get(), bytes_}, output_);
    if (!output.ok()) return output.status();
    return ForwardResult{.output = *std::move(output),
                         .weights_version = result().weights_version,
                         .losses = std::move(result().losses),
                         .timing = timing};
  }

 private:
  static StreamOrder Order(const TensorInfo& info, bool is_channels_first) {
    if (is_channels_first) return StreamOrder::ChannelsFirst(info);
    return StreamOrder(*SizeInBytes(info));
  }

  absl::StatusOr<std::unique_ptr<ElementSink>> MakeOutput(const v1::ForwardStreamResult& start,
                                                          const TensorInfo& info,
                                                          size_t bytes) override {
    // A guess could be wrong without anybody noticing.
    if (start.data_format() == v1::DATA_FORMAT_UNSPECIFIED) {
      return ElementReceiver::Malformed("expected the data format of the layer");
    }
    const bool is_channels_first = start.data_format() == v1::DATA_FORMAT_CHANNELS_FIRST;
    has_wrong_order_ = is_channels_first != is_channels_first_;
    if (has_wrong_order_) return absl::AbortedError("the layer has another data format");
    auto output = memory_->Allocate(bytes);
    if (!output.ok()) return output.status();
    output_ = *std::move(output);
    bytes_ = bytes;
    return MakeSink(std::vector<OrderedMemory>{
        {.memory = {output_.get(), bytes}, .order = Order(info, is_channels_first)}});
  }

  const bool is_channels_first_;
  const std::shared_ptr<MemoryPool> memory_;
  bool has_wrong_order_ = false;
  std::shared_ptr<std::byte> output_;
  size_t bytes_ = 0;
};

// From and to the caller.
class CallerConversation final : public ForwardConversation {
 public:
  CallerConversation(const std::string& layer, const InputStream& input, size_t input_bytes,
                     OutputStream output, const ForwardStreamOptions& options,
                     std::shared_ptr<MemoryPool> memory)
      : ForwardConversation(MakeStart(layer, input.info, options),
                            MakeSource(input, input_bytes, std::move(memory))),
        output_(std::move(output)) {}

 private:
  absl::StatusOr<std::unique_ptr<ElementSink>> MakeOutput(const v1::ForwardStreamResult&,
                                                          const TensorInfo& info, size_t) override {
    return MakeSink(info, output_);
  }

  const OutputStream output_;
};

}  // namespace

bool DataFormats::IsChannelsFirst(const std::string& layer) const {
  const std::lock_guard lock(mutex_);
  return channels_first_.contains(layer);
}

void DataFormats::Remember(const std::string& layer, bool is_channels_first) {
  const std::lock_guard lock(mutex_);
  if (is_channels_first) {
    channels_first_.insert(layer);
  } else {
    channels_first_.erase(layer);
  }
}

void StartForwardStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                        std::shared_ptr<DataFormats> formats, const std::string& layer,
                        const Tensor& input, const ForwardStreamOptions& options,
                        grpc::CompletionQueue& queue,
                        std::function<void(absl::StatusOr<ForwardResult>)> done) {
  // Only the placeholder has no size.
  if (const auto bytes = SizeInBytes(input.info()); !bytes.ok()) return done(bytes.status());
  const bool is_channels_first = formats->IsChannelsFirst(layer);
  const auto conversation = std::make_shared<TensorConversation>(
      layer, input, options, is_channels_first, endpoint->memory);
  const auto finish = [=, &queue](absl::StatusOr<std::optional<ServerTiming>> timing) {
    if (conversation->HasWrongOrder()) {
      formats->Remember(layer, !is_channels_first);
      return StartForwardStream(endpoint, terms, formats, layer, input, options, queue, done);
    }
    if (!timing.ok()) return done(timing.status());
    done(conversation->TakeResult(*timing));
  };
  StartStreamCall(endpoint, terms, conversation, queue, finish);
}

void StartForwardStream(std::shared_ptr<const Endpoint> endpoint, CallTerms terms,
                        const std::string& layer, const InputStream& input,
                        const OutputStream& output, const ForwardStreamOptions& options,
                        grpc::CompletionQueue& queue,
                        std::function<void(absl::StatusOr<ForwardStreamResult>)> done) {
  const absl::StatusOr<size_t> bytes = SizeInBytes(input.info);
  if (!bytes.ok()) return done(bytes.status());
  const auto conversation =
      std::make_shared<CallerConversation>(layer, input, *bytes, output, options, endpoint->memory);
  const auto finish = [conversation, done](absl::StatusOr<std::optional<ServerTiming>> timing) {
    if (!timing.ok()) return done(timing.status());
    conversation->result().timing = *timing;
    done(std::move(conversation->result()));
  };
  StartStreamCall(endpoint, terms, conversation, queue, finish);
}

}  // namespace tconv
