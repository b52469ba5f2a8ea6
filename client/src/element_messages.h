// The messages that all streams have in common: a start, elements, an end.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>
#include <grpcpp/support/byte_buffer.h>
#include <tconv/v1/tensor.pb.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "client/src/elements.h"
#include "proto/codec/payload_codec.h"

namespace tconv {

// Makes the messages of a request. Request is the message of one part.
template <typename Request>
class ElementSender {
 public:
  ElementSender(Request start, std::unique_ptr<ElementSource> source)
      : start_(std::move(start)), source_(std::move(source)) {}

  void Restart() {
    source_->Restart();
    checksum_.Reset();
    stage_ = Stage::kStart;
  }

  // As Conversation::NextMessage().
  absl::StatusOr<std::optional<grpc::ByteBuffer>> Next() {
    switch (stage_) {
      case Stage::kStart:
        stage_ = Stage::kElements;
        return codec::Encode(start_);
      case Stage::kElements:
        return source_->HasMore() ? NextElements() : End();
      case Stage::kOver:
        break;
    }
    return std::nullopt;
  }

 private:
  enum class Stage { kStart, kElements, kOver };

  absl::StatusOr<std::optional<grpc::ByteBuffer>> NextElements() {
    static_assert(Request::kDataFieldNumber == codec::kDataPath[0]);
    absl::StatusOr<codec::Payload> elements = source_->Next();
    if (!elements.ok()) return elements.status();
    checksum_.Add({elements->data, elements->size_bytes});
    return codec::Encode(Request(), {{codec::kDataPath, *std::move(elements)}});
  }

  absl::StatusOr<std::optional<grpc::ByteBuffer>> End() {
    stage_ = Stage::kOver;
    Request end;
    end.mutable_end()->set_xxh3(checksum_.value());
    return codec::Encode(end);
  }

  const Request start_;
  const std::unique_ptr<ElementSource> source_;
  codec::Checksum checksum_;
  Stage stage_ = Stage::kStart;
};

// Takes the elements of an answer, and checks that they are what was sent.
class ElementReceiver {
 public:
  void Restart() {
    sink_ = nullptr;
    is_over_ = false;
    checksum_.Reset();
  }

  // After the start of the answer. INTERNAL: there was one.
  absl::Status Begin(std::unique_ptr<ElementSink> sink, size_t size_bytes) {
    if (sink_ != nullptr) return Malformed("expected one start, got two");
    sink_ = std::move(sink);
    missing_bytes_ = size_bytes;
    return absl::OkStatus();
  }

  // Elements in codec::kDataPath. INTERNAL: more than there should be.
  absl::Status Take(codec::ReceivedPayloads& received) {
    const size_t bytes = received.size_bytes(codec::kDataPath);
    if (sink_ == nullptr || is_over_ || bytes > missing_bytes_) {
      return Malformed(absl::StrCat("got ", bytes, " bytes more than expected"));
    }
    if (bytes == 0) return absl::OkStatus();
    missing_bytes_ -= bytes;
    const auto elements =
        sink_->Take(bytes, [&received](std::byte* dst) { received.MoveTo(codec::kDataPath, dst); });
    if (!elements.ok()) return elements.status();
    checksum_.Add(*elements);
    return absl::OkStatus();
  }

  // INTERNAL: elements are missing. DATA_LOSS: they are not those that were sent.
  absl::Status End(const v1::StreamEnd& end) {
    if (sink_ == nullptr || is_over_ || missing_bytes_ > 0) {
      return Malformed(absl::StrCat("ends ", missing_bytes_, " bytes too early"));
    }
    is_over_ = true;
    if (end.has_xxh3() && end.xxh3() == checksum_.value()) return absl::OkStatus();
    return absl::DataLossError("stream of the server: the checksum does not fit the elements");
  }

  absl::Status CheckComplete() const {
    return is_over_ ? absl::OkStatus() : Malformed("has no end");
  }

  static absl::Status Malformed(const std::string& what) {
    return absl::InternalError(absl::StrCat("stream of the server: ", what));
  }

 private:
  std::unique_ptr<ElementSink> sink_;  // null before the start
  size_t missing_bytes_ = 0;
  bool is_over_ = false;
  codec::Checksum checksum_;
};

}  // namespace tconv
