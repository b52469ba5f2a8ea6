#include "server/wire/tensor_codec.h"

#include <gmock/gmock.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace tconv::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

v1::Tensor Message(v1::DataType dtype, const std::vector<int64_t>& shape, const std::string& data) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.set_data(data);
  return tensor;
}

TEST(TensorCodecTest, ViewsTheBytesOfTheMessageWithoutACopy) {
  const v1::Tensor message = Message(v1::DATA_TYPE_FLOAT32, {2, 3}, std::string(24, 'x'));
  const StatusOr<ConstTensorView> view = ViewOf(message);
  ASSERT_THAT(view, IsOk());
  EXPECT_EQ(view->dtype, DType::kFloat32);
  EXPECT_EQ(view->shape, (Shape{2, 3}));
  EXPECT_EQ(view->data, reinterpret_cast<const std::byte*>(message.data().data()));
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
    EXPECT_THAT(ViewOf(c.message), StatusIs(StatusCode::kInvalidArgument, HasSubstr(c.error)));
  }
}

TEST(TensorCodecTest, GivesEveryTypeBackBitForBit) {
  const std::string bytes = "any bytes, NaNs included";
  for (const auto dtype : {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64, v1::DATA_TYPE_FLOAT16,
                           v1::DATA_TYPE_BFLOAT16}) {
    v1::Tensor message = Message(dtype, {}, "");
    const auto element_bytes = static_cast<int64_t>(dtype == v1::DATA_TYPE_FLOAT64   ? 8
                                                    : dtype == v1::DATA_TYPE_FLOAT32 ? 4
                                                                                     : 2);
    message.add_shape(static_cast<int64_t>(bytes.size()) / element_bytes);
    message.set_data(bytes);
    const StatusOr<ConstTensorView> view = ViewOf(message);
    ASSERT_THAT(view, IsOk());
    v1::Tensor back = Message(v1::DATA_TYPE_FLOAT64, {7, 7}, "what was there before");
    ToProto(*view, &back);
    EXPECT_EQ(back.SerializeAsString(), message.SerializeAsString());
  }
}

TEST(TensorCodecTest, SendsABiasOnlyWhenThereIsOne) {
  Weights weights;
  weights.kernel = *Tensor::Allocate(DType::kFloat32, {3, 2, 4});
  v1::Weights message;
  message.mutable_bias();
  ToProto(weights, &message);
  EXPECT_THAT(message.kernel().shape(), ElementsAre(3, 2, 4));
  EXPECT_FALSE(message.has_bias());

  weights.bias = *Tensor::Allocate(DType::kFloat32, {2});
  ToProto(weights, &message);
  EXPECT_THAT(message.bias().shape(), ElementsAre(2));
}

}  // namespace
}  // namespace tconv::server
