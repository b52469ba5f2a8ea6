#include "tests/unit/client/fake_service.h"

#include <numeric>
#include <vector>

namespace tconv::testing {

grpc::Status FakeService::ForwardStream(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::ForwardStreamResponse, v1::ForwardStreamRequest>* stream) {
  ++calls;
  std::string data;
  context->AddTrailingMetadata("tconv-timing", "compute=7");
  v1::ForwardStreamRequest request;
  if (!stream->Read(&request) || !request.has_start()) return BadRequest("start", "is missing");
  const v1::ForwardStreamStart start = request.start();
  if (start.name() == "refused") return BadRequest("input.shape", "expected 3 channels");
  if (Fails()) return {grpc::StatusCode::UNAVAILABLE, "later"};
  v1::ForwardStreamResponse response;
  v1::ForwardStreamResult& result = *response.mutable_start();
  *result.mutable_output() = start.input();
  result.set_weights_version(1);
  if (start.name() != "no_format") {
    result.set_data_format(start.name() == "channels_first" ? v1::DATA_FORMAT_CHANNELS_FIRST
                                                            : v1::DATA_FORMAT_CHANNELS_LAST);
  }
  if (start.name() != "no_start") stream->Write(response);
  if (start.name() == "never") entered_.set_value();
  for (;;) {
    PrepareToRead();
    if (!stream->Read(&request)) return {grpc::StatusCode::CANCELLED, "the client has gone"};
    if (request.has_end()) break;
    data += request.data();
    response.set_data(std::move(*request.mutable_data()));
    // At once, so that both directions are busy at the same time.
    if (start.name() != "never" && !stream->Write(response)) return grpc::Status::CANCELLED;
  }
  const uint64_t xxh3 = Xxh3(data);
  Note([&](Seen& seen) { seen.data = std::move(data); });
  if (request.end().xxh3() != xxh3) return BadRequest("end.xxh3", "does not fit");
  if (start.name() == "too_long") {
    response.set_data("x");
    stream->Write(response);
  }
  if (start.name() == "endless") return grpc::Status::OK;
  const uint64_t flaw = start.name() == "corrupt" ? 1 : 0;
  response.mutable_end()->mutable_end()->set_xxh3(xxh3 + flaw);
  if (start.compute_losses()) response.mutable_end()->add_losses()->set_value(0.5);
  stream->Write(response);
  return grpc::Status::OK;
}

grpc::Status FakeService::SetWeightsStream(grpc::ServerContext*,
                                           grpc::ServerReader<v1::SetWeightsStreamRequest>* reader,
                                           v1::SetWeightsStreamResponse* response) {
  ++calls;
  std::string data;
  v1::SetWeightsStreamRequest request;
  reader->Read(&request);
  Note([&](Seen& seen) { seen.set_weights_start = request.start(); });
  while (reader->Read(&request) && request.has_data()) data += request.data();
  const uint64_t xxh3 = Xxh3(data);
  Note([&](Seen& seen) { seen.data = std::move(data); });
  if (request.end().xxh3() != xxh3) return BadRequest("end.xxh3", "does not fit");
  response->set_weights_version(2);
  return grpc::Status::OK;
}

grpc::Status FakeService::GetWeightsStream(
    grpc::ServerContext*, const v1::GetWeightsStreamRequest* request,
    grpc::ServerWriter<v1::GetWeightsStreamResponse>* writer) {
  const bool has_bias = request->name() != "no_bias";
  v1::GetWeightsStreamResponse response;
  v1::GetWeightsStreamStart& start = *response.mutable_start();
  start.set_weights_version(9);
  start.mutable_kernel()->set_dtype(v1::DATA_TYPE_FLOAT32);
  start.mutable_kernel()->add_shape(2);
  start.mutable_kernel()->add_shape(300000);
  if (has_bias) {
    start.mutable_bias()->set_dtype(v1::DATA_TYPE_FLOAT32);
    start.mutable_bias()->add_shape(3);
  }
  writer->Write(response);
  std::vector<float> values(600000 + (has_bias ? 3 : 0));
  std::iota(values.begin(), values.end(), 0.0F);
  const std::string bytes(reinterpret_cast<const char*>(values.data()),
                          values.size() * sizeof(float));
  constexpr size_t kPiece = 999'999;
  for (size_t offset = 0; offset < bytes.size(); offset += kPiece) {
    response.set_data(bytes.substr(offset, kPiece));
    writer->Write(response);
  }
  response.mutable_end()->set_xxh3(Xxh3(bytes));
  writer->Write(response);
  return grpc::Status::OK;
}

}  // namespace tconv::testing
