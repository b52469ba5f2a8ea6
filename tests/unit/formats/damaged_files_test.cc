// Files that were good once: whatever is damaged, reading them is an error or gives the
// layers that it gave before, and nothing else happens.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>

#include "formats/model_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::formats {
namespace {

using tconv::testing::IsOk;
using tconv::testing::ReadFile;
using tconv::testing::StatusIs;
using tconv::testing::TempFolder;
using tconv::testing::WriteFile;

constexpr int kFlips = 100;

struct Original {
  std::string path;
  std::string config;  // beside it, for weights alone; empty: none
};
void PrintTo(const Original& original, std::ostream* out) { *out << original.path; }

class DamagedFileTest : public ::testing::TestWithParam<Original> {
 protected:
  void SetUp() override {
    const std::string name = std::filesystem::path(GetParam().path).filename();
    path_ = folder_ / name;
    if (!GetParam().config.empty()) {
      WriteFile(ConfigBeside(path_), ReadFile(GetParam().config));
    }
    content_ = ReadFile(GetParam().path);
    Expect(content_, "as it was");
    ASSERT_FALSE(is_refused_);
  }

  // Reads the content: an error or layers of the right shapes.
  void Expect(const std::string& content, const std::string& damage) {
    WriteFile(path_, content);
    const auto model = ReadModelFile(path_);
    is_refused_ = !model.ok();
    if (is_refused_) {
      EXPECT_THAT(model, StatusIs(absl::StatusCode::kInvalidArgument)) << damage;
      EXPECT_NE(model.status().message(), "") << damage;
      return;
    }
    for (const Layer& layer : model->layers) {
      EXPECT_EQ(layer.kernel.bytes.size(), *SizeInBytes(layer.kernel.dtype, layer.kernel.shape));
    }
  }

  const TempFolder folder_;
  std::string path_;
  std::string content_;
  bool is_refused_ = false;
};

TEST_P(DamagedFileTest, IsRefusedWhenItIsCut) {
  for (size_t part = 0; part < 40; ++part) {
    const size_t bytes = content_.size() * part / 40;
    Expect(content_.substr(0, bytes), "cut to " + std::to_string(bytes));
    EXPECT_TRUE(is_refused_) << bytes;
  }
}

TEST_P(DamagedFileTest, NeverCrashesWhoReadsIt) {
  std::minstd_rand random(7);
  for (int i = 0; i < kFlips; ++i) {
    std::string content = content_;
    std::string damage;
    for (int flips = 1 + static_cast<int>(random() % 8); flips > 0; --flips) {
      // Half of them at the beginning, where the structure is.
      const size_t range =
          random() % 2 == 0 ? content.size() : std::min<size_t>(2048, content.size());
      const size_t place = random() % range;
      const char byte = static_cast<char>(random() % 3 == 0 ? 0xff : random());
      content[place] = byte;
      damage += " " + std::to_string(place) + "=" + std::to_string(byte);
    }
    Expect(content, damage);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, DamagedFileTest,
    ::testing::Values(Original{TCONV_GOLDEN_FILES "/sequential-compiled/model.keras", ""},
                      Original{TCONV_GOLDEN_FILES "/two-heads/legacy_model.h5", ""},
                      Original{TCONV_MODELS "/nested.weights.h5", TCONV_MODELS "/nested.json"},
                      Original{TCONV_MODELS "/types.weights.h5", TCONV_MODELS "/types.json"},
                      Original{TCONV_MODELS "/single.npz", TCONV_MODELS "/single.json"},
                      Original{TCONV_GOLDEN_FILES "/two-heads/weights.safetensors",
                               TCONV_GOLDEN_FILES "/two-heads/config_in_archive.json"}),
    [](const auto& test) {
      std::string name = std::filesystem::path(test.param.path).filename();
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == '.'; }, '_');
      return name;
    });

}  // namespace
}  // namespace tconv::formats
