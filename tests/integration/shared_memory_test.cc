// Tensors in memory that client and server share, end to end; and clients that
// lie about it or vanish.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <tconv/client.h>
#include <tconv/shared_memory.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "proto/codec/segment_socket.h"
#include "tests/integration/raw_call.h"
#include "tests/support/memfd.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr size_t kBytes = 1 << 20;

class SharedMemoryTest : public ::testing::Test {
 protected:
  SharedMemoryTest() : server_(StartServer()), client_(server_->target()) {
    EXPECT_THAT(client_.Create(SmallLayer("up", 1)), IsOk());
    EXPECT_THAT(client_.Create(SlowLayer("slow")), IsOk());
  }

  std::unique_ptr<TestServer> StartServer(int handler_threads = 4) const {
    server::ServerOptions options;
    options.shared_memory_socket = socket_;
    options.shared_memory.max_bytes = 4 * kBytes;
    options.strategy = "reference";
    // Calls that write to the same room take turns.
    options.compute_threads = 1;
    options.admission.handler_threads = handler_threads;
    return TestServer::Start(options);
  }

  SharedMemory OpenMemory(size_t bytes = kBytes) const {
    auto memory = SharedMemory::Open(socket_, bytes);
    EXPECT_THAT(memory, IsOk());
    return *std::move(memory);
  }

  static SharedTensor MakeTensor(const SharedMemory& memory, Shape shape, float value) {
    auto tensor = memory.Allocate(v1::DATA_TYPE_FLOAT32, std::move(shape));
    EXPECT_THAT(tensor, IsOk());
    std::ranges::fill(*tensor->values<float>(), value);
    return *std::move(tensor);
  }

  const TempFolder folder_;
  const std::string socket_ = folder_ / "memory.sock";
  std::unique_ptr<TestServer> server_;
  Client client_;
};

TEST_F(SharedMemoryTest, ForwardReadsAndWritesTheMemoryOfTheClient) {
  const SharedMemory memory = OpenMemory();
  const SharedTensor input = MakeTensor(memory, {1, 2, 2, 3}, 1);
  SharedTensor output = MakeTensor(memory, {1, 4, 4, 4}, -1);
  const auto result = client_.Forward("up", input, output);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->weights_version, 1);
  EXPECT_THAT(output.shape(), ElementsAre(1, 4, 4, 4));
  EXPECT_THAT(*output.values<float>(), Each(3.0F));
}

TEST_F(SharedMemoryTest, InputsOfAnotherTypeAreConverted) {
  const SharedMemory memory = OpenMemory();
  auto input = *memory.Allocate(v1::DATA_TYPE_FLOAT64, {1, 2, 2, 3});
  std::ranges::fill(*input.values<double>(), 2.0);
  SharedTensor output = MakeTensor(memory, {1, 4, 4, 4}, -1);
  ASSERT_THAT(client_.Forward("up", input, output), IsOk());
  EXPECT_THAT(*output.values<float>(), Each(6.0F));
}

TEST_F(SharedMemoryTest, TheOutputTakesOverTheShapeOfTheAnswer) {
  const SharedMemory memory = OpenMemory();
  SharedTensor output = MakeTensor(memory, {1000}, -1);
  const SharedTensor input = MakeTensor(memory, {2, 1, 1, 3}, 1);
  ASSERT_THAT(client_.Forward("up", input, output), IsOk());
  EXPECT_THAT(output.shape(), ElementsAre(2, 2, 2, 4));
  EXPECT_THAT(*output.values<float>(), ::testing::SizeIs(32));
  const SharedTensor empty = MakeTensor(memory, {0, 1, 1, 3}, 1);
  ASSERT_THAT(client_.Forward("up", empty, output), IsOk());
  EXPECT_THAT(output.shape(), ElementsAre(0, 2, 2, 4));
}

TEST_F(SharedMemoryTest, RoomThatIsTooSmallIsRefusedWithTheSizeNeeded) {
  const SharedMemory memory = OpenMemory();
  const SharedTensor input = MakeTensor(memory, {1, 2, 2, 3}, 1);
  SharedTensor output = MakeTensor(memory, {16}, -1);
  EXPECT_THAT(client_.Forward("up", input, output),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("output.size_bytes: expected at least 256 bytes")));
  EXPECT_THAT(*output.values<float>(), Each(-1.0F));
}

TEST_F(SharedMemoryTest, TensorsGiveTheirRoomBack) {
  const SharedMemory memory = OpenMemory();
  for (int i = 0; i < 10; ++i) {
    auto large = memory.Allocate(v1::DATA_TYPE_FLOAT32, {static_cast<int64_t>(kBytes / 4)});
    ASSERT_THAT(large, IsOk());
    EXPECT_THAT(memory.Allocate(v1::DATA_TYPE_FLOAT32, {1}),
                StatusIs(StatusCode::kResourceExhausted));
    const SharedTensor moved = *std::move(large);
    EXPECT_EQ(moved.room_bytes(), kBytes);
  }
}

TEST_F(SharedMemoryTest, ManyThreadsShareOneMemory) {
  const SharedMemory memory = OpenMemory();
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 20; ++i) {
        const float value = static_cast<float>(thread * 100 + i);
        const SharedTensor input = MakeTensor(memory, {1, 2, 2, 3}, value);
        SharedTensor output = MakeTensor(memory, {1, 4, 4, 4}, -1);
        EXPECT_THAT(client_.Forward("up", input, output), IsOk());
        EXPECT_THAT(*output.values<float>(), Each(3 * value));
      }
    });
  }
}

TEST_F(SharedMemoryTest, ANewServerAtTheSamePathTakesTheMemoryOver) {
  const SharedMemory memory = OpenMemory();
  const SharedTensor input = MakeTensor(memory, {1, 2, 2, 3}, 1);
  SharedTensor output = MakeTensor(memory, {1, 4, 4, 4}, -1);
  server_ = nullptr;
  server_ = StartServer();
  client_ = Client(server_->target());
  ASSERT_THAT(client_.Create(SmallLayer("up", 2)), IsOk());
  ASSERT_THAT(client_.Forward("up", input, output), IsOk());
  EXPECT_THAT(*output.values<float>(), Each(6.0F));
}

TEST_F(SharedMemoryTest, RoomOfACallThatWasGivenUpComesBackWhenTheServerHasEndedIt) {
  const SharedMemory memory = OpenMemory(2 * kBytes);
  SharedTensor input = MakeTensor(memory, {1, 64, 64, 32}, 1);
  SharedTensor output = MakeTensor(memory, {1, 66, 66, 32}, -1);
  std::stop_source caller;
  std::jthread canceller([&] { caller.request_stop(); });
  EXPECT_THAT(
      client_.Forward("slow", input, output, {.call = {.cancellation = caller.get_token()}}),
      StatusIs(StatusCode::kCancelled));
  EXPECT_EQ(output.room_bytes(), 0u);

  input = SharedTensor();
  absl::StatusOr<SharedTensor> all;
  do {
    std::this_thread::yield();
    all = memory.Allocate(v1::DATA_TYPE_FLOAT32, {2 * kBytes / 4});
  } while (all.status().code() == StatusCode::kResourceExhausted);
  EXPECT_THAT(all, IsOk());
}

TEST_F(SharedMemoryTest, ServersBeyondReachOrLimitsAreSaid) {
  EXPECT_THAT(SharedMemory::Open(folder_ / "nobody.sock", kBytes),
              StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(SharedMemory::Open("", kBytes), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(SharedMemory::Open(socket_, 0), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(SharedMemory::Open(socket_, 5 * kBytes), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(SharedMemory::Open(socket_, size_t{1} << 62),
              StatusIs(StatusCode::kResourceExhausted));
}

// A client that speaks the protocol itself, so that it can break it.
class HostileSharedMemoryTest : public SharedMemoryTest {
 protected:
  // Gives memory to the server. An empty name when it is refused.
  std::string Offer() { return Offer(MakeMemory(kBytes)); }
  std::string Offer(const codec::FileDescriptor& memory) {
    const auto address = *codec::SocketAddress(socket_);
    connection_ = codec::FileDescriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(
        connect(connection_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
        0);
    EXPECT_THAT(codec::SendOffer(connection_.get(), memory.get()), IsOk());
    return codec::ReceiveAnswer(connection_.get()).value_or("");
  }

  // Takes the memory back and waits until the server has let go of it.
  void Leave() {
    shutdown(connection_.get(), SHUT_WR);
    char byte = 0;
    EXPECT_EQ(recv(connection_.get(), &byte, 1, 0), 0);
  }

  // Waits until a byte at `offset` is not zero any more.
  static void AwaitWrite(const codec::FileDescriptor& memory, int64_t offset) {
    int32_t value = 0;
    while (value == 0) {
      std::this_thread::yield();
      ASSERT_EQ(pread(memory.get(), &value, sizeof(value), offset), 4);
    }
  }

  // The input at 0, room for the output behind it.
  static v1::ForwardRequest MakeRequest(const std::string& layer, const std::string& segment,
                                        std::vector<int64_t> shape, int64_t output_bytes) {
    v1::ForwardRequest request;
    request.set_name(layer);
    int64_t input_bytes = 4;
    for (const int64_t extent : shape) input_bytes *= extent;
    request.mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
    request.mutable_input()->mutable_shape()->Assign(shape.begin(), shape.end());
    request.mutable_input()->mutable_region()->set_segment(segment);
    auto& output = *request.mutable_output();
    output.mutable_region()->set_segment(segment);
    output.mutable_region()->set_offset((input_bytes + 63) / 64 * 64);
    output.set_size_bytes(output_bytes);
    return request;
  }
  static v1::ForwardRequest SmallRequest(const std::string& segment) {
    return MakeRequest("up", segment, {1, 2, 2, 3}, 256);
  }

  absl::Status Forward(const v1::ForwardRequest& request) {
    return rpc_->ForwardShared(request, {}).status();
  }
  std::future<absl::Status> ForwardLater(const v1::ForwardRequest& request) {
    return std::async(std::launch::async, [this, request] { return Forward(request); });
  }

  codec::FileDescriptor connection_;
  const std::shared_ptr<Connection> rpc_ =
      Connect(server_->target(), {.timeout = std::chrono::milliseconds(0)});
};

TEST_F(HostileSharedMemoryTest, LiesAboutRegionsAreInvalidArguments) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const std::string segment = Offer();
  ASSERT_THAT(Forward(SmallRequest(segment)), IsOk());
  using Request = v1::ForwardRequest;
  const struct {
    const char* field;
    std::function<void(Request&)> lie;
  } kCases[] = {
      {"input.region.offset",
       [](Request& r) { r.mutable_input()->mutable_region()->set_offset(-64); }},
      {"input.region.offset",
       [](Request& r) { r.mutable_input()->mutable_region()->set_offset(4); }},
      {"input.region.offset",
       [](Request& r) { r.mutable_input()->mutable_region()->set_offset(kBytes); }},
      {"input.region.offset",
       [](Request& r) { r.mutable_input()->mutable_region()->set_offset(kMax / 64 * 64); }},
      {"input.region.offset", [](Request& r) { r.mutable_input()->set_shape(1, kBytes); }},
      {"input.shape", [](Request& r) { r.mutable_input()->set_shape(1, kMax); }},
      {"input.data", [](Request& r) { r.mutable_input()->set_data("1234"); }},
      {"input.dtype", [](Request& r) { r.mutable_input()->clear_dtype(); }},
      {"output.region", [](Request& r) { r.mutable_output()->clear_region(); }},
      {"output.region", [](Request& r) { r.mutable_output()->mutable_region()->set_offset(0); }},
      {"output.region.offset",
       [](Request& r) { r.mutable_output()->mutable_region()->set_offset(65); }},
      {"output.region.offset",
       [](Request& r) { r.mutable_output()->mutable_region()->set_offset(kBytes - 192); }},
      {"output.region.offset", [](Request& r) { r.mutable_output()->set_size_bytes(kMax); }},
      {"output.size_bytes", [](Request& r) { r.mutable_output()->set_size_bytes(-1); }},
      {"output.size_bytes", [](Request& r) { r.mutable_output()->set_size_bytes(255); }},
  };
  for (const auto& test : kCases) {
    v1::ForwardRequest request = SmallRequest(segment);
    test.lie(request);
    EXPECT_THAT(Forward(request),
                StatusIs(StatusCode::kInvalidArgument, StartsWith(std::string(test.field) + ": ")));
  }
  EXPECT_THAT(Forward(SmallRequest(segment)), IsOk());
}

TEST_F(HostileSharedMemoryTest, ASegmentThatNeverWasIsNotFound) {
  for (const std::string& segment : {std::string(), std::string("x"), std::string(32, '0')}) {
    EXPECT_THAT(Forward(SmallRequest(segment)),
                StatusIs(StatusCode::kNotFound, HasSubstr("shared memory")));
  }
}

TEST_F(HostileSharedMemoryTest, ASegmentOfAClosedConnectionIsNotFound) {
  const std::string closed = Offer();
  ASSERT_THAT(Forward(SmallRequest(closed)), IsOk());
  // The server lets go of the closed connection before it answers a later one.
  const std::string open = Offer();
  EXPECT_THAT(Forward(SmallRequest(closed)), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(Forward(SmallRequest(open)), IsOk());
}

TEST_F(HostileSharedMemoryTest, OnlyForwardTakesRegions) {
  const std::string segment = Offer();
  v1::SetWeightsRequest request;
  request.set_name("up");
  auto& kernel = *request.mutable_weights()->mutable_kernel();
  kernel.set_dtype(v1::DATA_TYPE_FLOAT32);
  for (const int64_t extent : {2, 2, 4, 3}) kernel.add_shape(extent);
  kernel.mutable_region()->set_segment(segment);
  const grpc::Status status =
      RawUnaryCall(OpenChannel(server_->target()), "/tconv.v1.TransposedConvService/SetWeights",
                   request.SerializeAsString());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("weights.kernel.region: "));
}

TEST_F(HostileSharedMemoryTest, AClientThatVanishesWhileItsMemoryIsUsedHarmsNobody) {
  const codec::FileDescriptor memory = MakeMemory(kBytes);
  const std::string segment = Offer(memory);
  const auto request = MakeRequest("slow", segment, {1, 32, 64, 32}, 34 * 66 * 32 * 4);
  const std::string input(32 * 64 * 32 * 4, '?');  // floats that are not zero
  ASSERT_EQ(pwrite(memory.get(), input.data(), input.size(), 0), std::ssize(input));
  auto used = ForwardLater(request);
  AwaitWrite(memory, request.output().region().offset() + request.output().size_bytes() / 2);
  std::vector<std::future<absl::Status>> later;
  for (int i = 0; i < 2; ++i) later.push_back(ForwardLater(request));
  connection_ = codec::FileDescriptor();

  EXPECT_THAT(used.get(), IsOk());
  for (auto& end : later) {
    const absl::Status status = end.get();
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kNotFound) << status;
  }
  EXPECT_THAT(Forward(SmallRequest(Offer())), IsOk());
  EXPECT_THAT(Forward(SmallRequest(segment)), StatusIs(StatusCode::kNotFound));
}

// What the values become is the client's business; that the server lives on is not.
TEST_F(HostileSharedMemoryTest, AClientThatWritesMeanwhileHarmsNobody) {
  const codec::FileDescriptor memory = MakeMemory(kBytes);
  const auto request = MakeRequest("slow", Offer(memory), {1, 32, 64, 32}, 34 * 66 * 32 * 4);
  std::stop_source end;
  std::jthread writer([&, stop = end.get_token()] {
    std::string bytes(kBytes, '\0');
    for (char value = 0; !stop.stop_requested(); ++value) {
      bytes.assign(kBytes, value);
      EXPECT_EQ(pwrite(memory.get(), bytes.data(), bytes.size(), 0),
                static_cast<ssize_t>(bytes.size()));
      EXPECT_NE(ftruncate(memory.get(), 0), 0);
      EXPECT_EQ(fallocate(memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBytes), 0);
    }
  });
  for (int i = 0; i < 5; ++i) EXPECT_THAT(Forward(request), IsOk());
  end.request_stop();
}

TEST_F(HostileSharedMemoryTest, ManyClientsThatComeAndGoLeaveNothingBehind) {
  ASSERT_THAT(Forward(SmallRequest(Offer())), IsOk());
  Leave();
  const auto before = CountDescriptors();
  // More bytes than the server allows at once.
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(Forward(SmallRequest(Offer())), IsOk());
    Leave();
  }
  EXPECT_EQ(CountDescriptors(), before);
}

}  // namespace
}  // namespace tconv::testing
