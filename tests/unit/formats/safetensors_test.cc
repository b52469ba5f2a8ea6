#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tests/support/model_arrays.h"
#include "tests/support/status_matchers.h"

namespace tconv::formats {
namespace {

using tconv::testing::FloatsOf;
using tconv::testing::IsOk;
using tconv::testing::SameArray;
using tconv::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string FileOf(const std::string& header, const std::string& data) {
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  return file + header + data;
}

absl::StatusOr<Arrays> Read(std::string file) {
  return ReadSafetensors(std::make_shared<const std::string>(std::move(file)));
}

TEST(SafetensorsTest, ReadsBackWhatItWrites) {
  const Array kernel =
      *MakeArray(DType::kFloat32, {1, 2}, std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  const Array bias = *MakeArray(DType::kBFloat16, {1}, "ab");
  const Array empty = *MakeArray(DType::kFloat64, {0, 3}, "");
  std::ostringstream out;
  ASSERT_THAT(WriteSafetensors(out, {{"z/bias", bias}, {"a\"/kernel", kernel}, {"e", empty}}),
              IsOk());
  const auto arrays = Read(out.str());
  ASSERT_THAT(arrays, IsOk());
  ASSERT_EQ(arrays->size(), 3u);
  EXPECT_TRUE(SameArray(*arrays->at("z/bias"), bias));
  EXPECT_TRUE(SameArray(*arrays->at("a\"/kernel"), kernel));
  EXPECT_TRUE(SameArray(*arrays->at("e"), empty));
}

TEST(SafetensorsTest, ReadsArraysThatAreNotAligned) {
  const auto arrays = Read(FileOf(R"({"__metadata__": {"format": "pt"},
      "x": {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]}})",
                                  std::string("?\0\0\x80\x3f", 5)));
  ASSERT_THAT(arrays, IsOk());
  EXPECT_THAT(FloatsOf(*arrays->at("x")), ElementsAre(1));
}

TEST(SafetensorsTest, RefusesFilesThatAreNone) {
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\x7f{}";
  for (const std::string& file : {std::string(), std::string("short"), huge, FileOf("{", ""),
                                  FileOf("[]", ""), FileOf("{\"a\": {}, \"a\": {}}", "")}) {
    EXPECT_THAT(Read(file), StatusIs(absl::StatusCode::kInvalidArgument)) << file;
  }
}

TEST(SafetensorsTest, TellsOfEachArrayWhyItIsNone) {
  struct Case {
    std::string entry;
    std::string message;
  };
  const Case kCases[] = {
      {R"(7)", "expected an object"},
      {R"({})", "shape: expected a list"},
      {R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})", "shape: expected sizes"},
      {R"({"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]})", "shape: expected sizes"},
      {R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]})", "data_offsets"},
      {R"({"dtype": "F32", "shape": [1], "data_offsets": [0]})", "data_offsets"},
      {R"({"dtype": "F32", "shape": [2], "data_offsets": [4, 12]})", "of the 8 bytes"},
      {R"({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]})", "expected 12 bytes"},
      {R"({"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]})", "2^63"},
      {R"({"dtype": "I64", "shape": [1], "data_offsets": [0, 8]})", "got \"I64\""},
      {R"({"dtype": 7, "shape": [1], "data_offsets": [0, 8]})", "got 7"},
  };
  for (const Case& c : kCases) {
    const auto arrays = Read(FileOf("{\"x\": " + c.entry + "}", "12345678"));
    ASSERT_THAT(arrays, IsOk()) << c.entry;
    EXPECT_THAT(arrays->at("x"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.entry;
  }
}

}  // namespace
}  // namespace tconv::formats
