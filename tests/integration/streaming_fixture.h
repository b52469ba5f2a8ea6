// What the tests of streams have in common.
#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <tconv/v1/transposed_conv.grpc.pb.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proto/codec/stream_format.h"
#include "tests/support/test_server.h"

namespace tconv::testing {

inline uint64_t ChecksumOf(const std::string& bytes) {
  codec::Checksum checksum;
  checksum.Add(std::as_bytes(std::span(bytes)));
  return checksum.value();
}

// Floats of some pattern, as bytes.
inline std::string Elements(int64_t count) {
  std::string bytes(static_cast<size_t>(count) * sizeof(float), '\0');
  for (int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(i * 7 % 101) / 101 - 0.5f;
    std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(float), &value, sizeof(float));
  }
  return bytes;
}

inline int64_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

template <typename Header>
void SetHeader(Header* header, const std::vector<int64_t>& shape) {
  header->set_dtype(v1::DATA_TYPE_FLOAT32);
  header->mutable_shape()->Assign(shape.begin(), shape.end());
}

// A server, and its stub.
class StreamingFixture : public ::testing::Test {
 protected:
  // Slabs are thin, so that small tensors have many.
  void Start(server::ServerOptions options = DefaultOptions()) {
    if (options.host.slab_bytes == server::kSlabBytes) options.host.slab_bytes = 4096;
    server_ = TestServer::Start(std::move(options));
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kDefaultMessageBytes);
    stub_ = v1::TransposedConvService::NewStub(grpc::CreateCustomChannel(
        server_->target(), grpc::InsecureChannelCredentials(), arguments));
  }

  // Conv2DTranspose of 3 channels with 4 filters that doubles both axes.
  void Create(const std::string& name, const std::function<void(v1::LayerConfig&)>& change = {}) {
    v1::CreateRequest request;
    request.set_name(name);
    v1::LayerConfig& config = *request.mutable_config();
    config.set_class_name("Conv2DTranspose");
    config.set_filters(4);
    for (int axis = 0; axis < 2; ++axis) {
      config.add_kernel_size(3);
      config.add_strides(2);
    }
    config.set_padding(v1::PADDING_SAME);
    if (change) change(config);
    const bool is_first = config.data_format() == v1::DATA_FORMAT_CHANNELS_FIRST;
    for (const int64_t extent :
         is_first ? std::vector<int64_t>{-1, 3, -1, -1} : std::vector<int64_t>{-1, -1, -1, 3}) {
      request.add_input_shape(extent);
    }
    grpc::ClientContext context;
    v1::CreateResponse response;
    const grpc::Status status = stub_->Create(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  // Returns when no call is in the house any more.
  bool IsIdleSoon() { return server_->app().Drain(std::chrono::seconds(20)).ok(); }

  static constexpr int kDefaultMessageBytes = 4 << 20;

  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::TransposedConvService::Stub> stub_;
};

}  // namespace tconv::testing
