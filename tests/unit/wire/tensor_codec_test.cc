#include "server/wire/tensor_codec.h"

#include <gmock/gmock.h>
#include <tconv/v1/transposed_conv.pb.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr int kInputPath[] = {v1::ForwardRequest::kInputFieldNumber};

// A ForwardRequest with this input, as it arrives.
class Arrived {
 public:
  explicit Arrived(const v1::Tensor& input) {
    v1::ForwardRequest request;
    *request.mutable_input() = input;
    const grpc::Slice slice(request.SerializeAsString());
    grpc::ByteBuffer buffer(&slice, 1);
    payloads_ = *codec::ReceivedPayloads::Parse(&buffer, &request_);
  }

  StatusOr<ReceivedTensor> Input() {
    return ReceivedTensor::Make(request_.input(), kInputPath, payloads_);
  }

 private:
  v1::ForwardRequest request_;
  codec::ReceivedPayloads payloads_;
};

v1::Tensor Message(v1::DataType dtype, const std::vector<int64_t>& shape, const std::string& data) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.set_data(data);
  return tensor;
}

TEST(TensorCodecTest, NamesTheFieldThatIsWrong) {
  const struct {
    v1::Tensor message;
    std::string error;
  } kCases[] = {
      {Message(v1::DATA_TYPE_UNSPECIFIED, {1}, "1234"), "dtype: expected a floating-point type"},
      {Message(static_cast<v1::DataType>(99), {1}, "1234"), "got the value 99"},
      {Message(v1::DATA_TYPE_FLOAT32, {1, -1}, ""), "shape: "},
      {Message(v1::DATA_TYPE_FLOAT32, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "1234"), "shape: "},
      {Message(v1::DATA_TYPE_FLOAT32, {INT64_MAX, INT64_MAX}, ""), "shape: "},
      {Message(v1::DATA_TYPE_FLOAT16, {3}, "12345"),
       "data: expected 6 bytes for float16 [3], got 5"},
      {Message(v1::DATA_TYPE_FLOAT64, {0, 3}, "1"), "data: expected 0 bytes"},
      {Message(v1::DATA_TYPE_BFLOAT16, {}, ""), "data: expected 2 bytes"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Arrived(c.message).Input().status(),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.error)));
  }
}

TEST(TensorCodecTest, GivesEveryTypeBackBitForBit) {
  const std::string bytes = "any bytes, NaNs included";
  for (const auto dtype : {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64, v1::DATA_TYPE_FLOAT16,
                           v1::DATA_TYPE_BFLOAT16}) {
    v1::Tensor message = Message(dtype, {}, bytes);
    const auto element_bytes = static_cast<int64_t>(dtype == v1::DATA_TYPE_FLOAT64   ? 8
                                                    : dtype == v1::DATA_TYPE_FLOAT32 ? 4
                                                                                     : 2);
    message.add_shape(static_cast<int64_t>(bytes.size()) / element_bytes);
    Arrived arrived(message);
    StatusOr<ReceivedTensor> input = arrived.Input();
    ASSERT_THAT(input, IsOk());
    const Tensor tensor = *Fetch(*input, input->dtype());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(tensor.view().data), bytes.size()), bytes);

    v1::Tensor back = Message(v1::DATA_TYPE_FLOAT64, {7, 7}, bytes);
    ToProto(tensor.view(), &back);
    EXPECT_EQ(back.SerializeAsString(), message.SerializeAsString());
  }
}

// Where the weights are in their message.
constexpr int kPath[] = {2};

TEST(TensorCodecTest, WeightsWithoutAKernelAreRefused) {
  codec::ReceivedPayloads payloads;
  v1::Weights weights;
  weights.mutable_bias();
  EXPECT_THAT(ReceivedWeights::Make(weights, kPath, payloads).status(),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("kernel: ")));
}

TEST(TensorCodecTest, WeightsHaveABiasOnlyWhenOneCame) {
  codec::ReceivedPayloads payloads;
  v1::Weights weights;
  *weights.mutable_kernel() = Message(v1::DATA_TYPE_FLOAT32, {0}, "");
  EXPECT_EQ(ReceivedWeights::Make(weights, kPath, payloads)->source().bias, nullptr);
  *weights.mutable_bias() = Message(v1::DATA_TYPE_FLOAT32, {0}, "");
  EXPECT_NE(ReceivedWeights::Make(weights, kPath, payloads)->source().bias, nullptr);
}

}  // namespace
}  // namespace tconv::server
