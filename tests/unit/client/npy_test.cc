#include "client/cli/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/status_matchers.h"

namespace tconv::cli {
namespace {

using tconv::testing::IsOk;
using tconv::testing::IsOkAndHolds;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A .npy of any version, header and data, however wrong.
std::string Npy(const std::string& header, const std::string& data, char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  const size_t length_bytes = version == 1 ? 2 : 4;
  for (size_t i = 0; i < length_bytes; ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file + header + data;
}

std::string Header(const std::string& descr, const std::string& shape,
                   const std::string& fortran_order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + fortran_order + ", 'shape': " + shape +
         ", }\n";
}

absl::StatusOr<Tensor> Read(const std::string& file) {
  std::istringstream in(file);
  return ReadNpy(in);
}

template <typename T>
std::string Bytes(std::initializer_list<T> values) {
  const auto tensor = Tensor::FromValues<T>({static_cast<int64_t>(values.size())}, values);
  return std::string(tensor->bytes());
}

TEST(NpyTest, ReadsEveryVersion) {
  for (const char version : {1, 2, 3}) {
    const auto tensor = Read(Npy(Header("'<f4'", "(2, 1)"), Bytes<float>({1, 2}), version));
    ASSERT_THAT(tensor, IsOk());
    EXPECT_THAT(tensor->shape(), ElementsAre(2, 1));
    EXPECT_THAT(tensor->values<float>(), IsOkAndHolds(ElementsAre(1, 2)));
  }
}

TEST(NpyTest, ReadsEveryTypeAndSpelling) {
  struct Case {
    std::string descr;
    v1::DataType dtype;
    size_t bytes;
  };
  const Case kCases[] = {
      {"'<f4'", v1::DATA_TYPE_FLOAT32, 4},  {"\"<f8\"", v1::DATA_TYPE_FLOAT64, 8},
      {"'<f2'", v1::DATA_TYPE_FLOAT16, 2},  {"'<V2'", v1::DATA_TYPE_BFLOAT16, 2},
      {"'|V2'", v1::DATA_TYPE_BFLOAT16, 2}, {"'bfloat16'", v1::DATA_TYPE_BFLOAT16, 2},
  };
  for (const Case& c : kCases) {
    const auto tensor = Read(Npy(Header(c.descr, "()"), std::string(c.bytes, '\1')));
    ASSERT_THAT(tensor, IsOk()) << c.descr;
    EXPECT_EQ(tensor->dtype(), c.dtype);
    EXPECT_THAT(tensor->shape(), ElementsAre());
  }
}

TEST(NpyTest, TurnsFortranOrderIntoRowMajor) {
  const auto tensor =
      Read(Npy(Header("'<f4'", "(2, 3)", "True"), Bytes<float>({1, 4, 2, 5, 3, 6})));
  ASSERT_THAT(tensor, IsOk());
  EXPECT_THAT(tensor->values<float>(), IsOkAndHolds(ElementsAre(1, 2, 3, 4, 5, 6)));
}

TEST(NpyTest, ReadsEmptyTensors) {
  EXPECT_THAT(Read(Npy(Header("'<f4'", "(0, 9223372036854775807, 3)", "True"), "")), IsOk());
}

TEST(NpyTest, WritesWhatItReads) {
  for (const v1::DataType dtype : {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64,
                                   v1::DATA_TYPE_FLOAT16, v1::DATA_TYPE_BFLOAT16}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 1, 3}, Shape{0, 2}}) {
      const auto size = static_cast<size_t>(*ElementCount(shape)) * ElementSize(dtype);
      const auto tensor = Tensor::FromBytes(dtype, shape, std::string(size, '\x5a'));
      std::stringstream file;
      ASSERT_THAT(WriteNpy(file, *tensor), IsOk());
      const auto again = ReadNpy(file);
      ASSERT_THAT(again, IsOk());
      EXPECT_EQ(again->dtype(), tensor->dtype());
      EXPECT_EQ(again->shape(), tensor->shape());
      EXPECT_EQ(again->bytes(), tensor->bytes());
    }
  }
}

TEST(NpyTest, WritesTheBytesThatNumpyWrites) {
  std::ostringstream file;
  ASSERT_THAT(WriteNpy(file, *Tensor::FromValues<float>({1}, {1.0f})), IsOk());
  const std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  EXPECT_EQ(file.str(),
            Npy(dictionary + std::string(117 - dictionary.size(), ' ') + "\n", Bytes<float>({1})));
}

TEST(NpyTest, SaysWhatIsWrongWithAFile) {
  const std::string good = Header("'<f4'", "(1,)");
  const std::string data = Bytes<float>({1});
  struct Case {
    std::string file;
    std::string message;
  };
  const Case kCases[] = {
      {"", "expected a .npy file"},
      {"PK\3\4 a zip file", "expected a .npy file"},
      {Npy(good, data, 4), "expected .npy version 1, 2 or 3, got 4"},
      {Npy(good, data).substr(0, 9), "header: expected at most"},
      {Npy(good, data).substr(0, 30), "the file is truncated"},
      {std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12),
       "expected at most 65536 bytes, got 4294967295"},
      {Npy(good, ""), "data: expected 4 bytes for the shape (1,), got 0: the file is truncated"},
      {Npy(good, data + "x"), "got more"},
      {Npy(Header("'<f4'", "(1099511627776,)"), data), "got 4: the file is truncated"},
      {Npy(Header("'<f4'", "(9223372036854775807, 2)"), data), "less than 2^63 bytes"},
      {Npy(Header("'<f8'", "(9223372036854775807,)"), data), "less than 2^63 bytes"},
      {Npy(Header("'<f4'", "(-1,)"), data), "expected an extent from 0"},
      {Npy(Header("'<f4'", "(99999999999999999999,)"), data), "expected an extent from 0"},
      {Npy(Header("'<f4'", "(1, 2"), data), "before"},
      {Npy(Header("'<f4'", "3"), data), "expected '('"},
      {Npy(Header("'<f4'", "(1,)", "0"), data), "expected True or False"},
      {Npy(Header("'>f4'", "(1,)"), data), "expected little-endian"},
      {Npy(Header("'<i8'", "(1,)"), data), "got dtype '<i8': save x.astype('<f4')"},
      {Npy(Header("[('a', '<f4')]", "(1,)"), data), "structured dtype"},
      {Npy("{'descr': '<f4', 'shape': (1,), }", data), "expected 'descr', 'fortran_order'"},
      {Npy("{'descr': '<f4', 'descr': '<f4', }", data), "once, got 'descr'"},
      {Npy("{'descr': '<f4", data), "expected a string"},
      {Npy("{", data), "expected a string"},
      {Npy("", data), "expected '{'"},
      {Npy(good + "}", data), "nothing after the dictionary"},
      {Npy(Header("'<f4'", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,)"),
           data),
       "at most 32 axes"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(Read(c.file), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(NpyTest, NoticesAStreamThatTakesNoMore) {
  std::ostringstream full;
  full.setstate(std::ios::badbit);
  EXPECT_THAT(WriteNpy(full, *Tensor::FromValues<float>({1}, {1.0f})),
              StatusIs(absl::StatusCode::kUnknown));
}

}  // namespace
}  // namespace tconv::cli
