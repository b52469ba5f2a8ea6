#include "server/host/shared_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <limits>
#include <set>
#include <vector>

#include "tests/support/memfd.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::server {
namespace {

using codec::FileDescriptor;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::kAllSeals;
using testing::MakeMemory;
using ::testing::MatchesRegex;
using testing::StatusIs;

constexpr int64_t kBytes = 1 << 16;

TEST(SharedMemoryTest, ASegmentIsTheMemoryOfTheClient) {
  SharedMemory memory({});
  const FileDescriptor shared = MakeMemory(kBytes);
  const auto name = memory.Add(shared.get(), nullptr);
  ASSERT_THAT(name, IsOk());
  const auto segment = memory.Find(*name);
  ASSERT_THAT(segment, IsOk());
  EXPECT_EQ((*segment)->size_bytes(), kBytes);

  ASSERT_EQ(pwrite(shared.get(), "in", 2, 64), 2);
  const auto data = (*segment)->At(64, 2);
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(static_cast<char>((*data)[1]), 'n');
  (*data)[0] = std::byte{'I'};
  char read = 0;
  ASSERT_EQ(pread(shared.get(), &read, 1, 64), 1);
  EXPECT_EQ(read, 'I');
}

TEST(SharedMemoryTest, NamesAre128BitsThatDiffer) {
  SharedMemory memory({});
  const FileDescriptor shared = MakeMemory(kBytes);
  std::set<std::string> names;
  for (int i = 0; i < 50; ++i) {
    const auto name = memory.Add(shared.get(), nullptr);
    ASSERT_THAT(name, IsOk());
    EXPECT_THAT(*name, MatchesRegex("[0-9a-f]{32}"));
    EXPECT_TRUE(names.insert(*name).second);
  }
}

TEST(SharedMemoryTest, MemoryThatCouldShrinkIsRefused) {
  const int kTooFew[] = {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_SEAL,
                         F_SEAL_GROW | F_SEAL_SEAL};
  for (const int seals : kTooFew) {
    SharedMemory memory({});
    EXPECT_THAT(memory.Add(MakeMemory(kBytes, seals).get(), nullptr),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("F_SEAL_SHRINK")))
        << seals;
  }
}

TEST(SharedMemoryTest, MemoryThatCannotBeSharedIsRefused) {
  SharedMemory memory({});
  std::array<int, 2> pipe_ends = {};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const FileDescriptor reader(pipe_ends[0]);
  const FileDescriptor writer(pipe_ends[1]);
  const testing::TempFolder folder;
  const FileDescriptor file(open((folder / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_EQ(ftruncate(file.get(), kBytes), 0);
  const FileDescriptor directory(open("/", O_RDONLY | O_CLOEXEC));
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const FileDescriptor sealed = MakeMemory(kBytes);
  const std::string sealed_path = "/proc/self/fd/" + std::to_string(sealed.get());
  const FileDescriptor read_only(open(sealed_path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_GE(read_only.get(), 0);
  const FileDescriptor not_writable = MakeMemory(kBytes, F_SEAL_WRITE | kAllSeals);
  const FileDescriptor empty = MakeMemory(0);
  const struct {
    const char* what;
    int descriptor;
  } kCases[] = {{"a pipe", reader.get()},
                {"a regular file", file.get()},
                {"a directory", directory.get()},
                {"a socket", socket.get()},
                {"no descriptor", -1},
                {"opened to read", read_only.get()},
                {"sealed against writes", not_writable.get()},
                {"empty", empty.get()}};
  for (const auto& test : kCases) {
    EXPECT_THAT(memory.Add(test.descriptor, nullptr), StatusIs(StatusCode::kInvalidArgument))
        << test.what;
  }
}

// The file system of huge pages takes pages back and lets readers die.
TEST(SharedMemoryTest, HugePagesAreRefused) {
  const FileDescriptor huge(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (huge.get() < 0) GTEST_SKIP() << "this system has no huge pages";
  ASSERT_EQ(fcntl(huge.get(), F_ADD_SEALS, kAllSeals), 0);
  SharedMemory memory({});
  EXPECT_THAT(memory.Add(huge.get(), nullptr),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("ordinary pages")));
}

TEST(SharedMemoryTest, MemoryDoesNotShrinkAfterwards) {
  SharedMemory memory({});
  const FileDescriptor shared = MakeMemory(kBytes);
  ASSERT_THAT(memory.Add(shared.get(), nullptr), IsOk());
  EXPECT_EQ(ftruncate(shared.get(), 0), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(SharedMemoryTest, RegionsOutsideOfTheSegmentAreRefused) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  SharedMemory memory({});
  const auto name = memory.Add(MakeMemory(kBytes).get(), nullptr);
  ASSERT_THAT(name, IsOk());
  const auto segment = *memory.Find(*name);
  const struct {
    int64_t offset;
    int64_t size_bytes;
    bool is_inside;
  } kCases[] = {{0, kBytes, true},
                {kBytes, 0, true},
                {kBytes - 64, 64, true},
                {0, kBytes + 1, false},
                {kBytes - 64, 65, false},
                {kBytes, 1, false},
                {kBytes + 64, 0, false},
                {-64, 64, false},
                {1, 1, false},
                {0, -1, false},
                {kMax / 64 * 64, 64, false},
                {64, kMax, false},
                {kMax / 64 * 64, kMax, false}};
  for (const auto& test : kCases) {
    EXPECT_EQ(segment->At(test.offset, test.size_bytes).ok(), test.is_inside)
        << test.offset << " " << test.size_bytes;
  }
}

TEST(SharedMemoryTest, BytesAreLimitedInTotal) {
  SharedMemory memory({.max_bytes = 2 * kBytes});
  const auto first = memory.Add(MakeMemory(kBytes).get(), nullptr);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(memory.Add(MakeMemory(kBytes + 1).get(), nullptr),
              StatusIs(StatusCode::kResourceExhausted));
  ASSERT_THAT(memory.Add(MakeMemory(kBytes).get(), nullptr), IsOk());
  EXPECT_THAT(memory.Add(MakeMemory(1).get(), nullptr), StatusIs(StatusCode::kResourceExhausted));
  memory.Remove(*first);
  EXPECT_THAT(memory.Add(MakeMemory(kBytes).get(), nullptr), IsOk());
}

TEST(SharedMemoryTest, SegmentsAreLimitedInNumber) {
  SharedMemory memory({.max_segments = 2});
  const auto first = memory.Add(MakeMemory(64).get(), nullptr);
  ASSERT_THAT(memory.Add(MakeMemory(64).get(), nullptr), IsOk());
  EXPECT_THAT(memory.Add(MakeMemory(64).get(), nullptr), StatusIs(StatusCode::kResourceExhausted));
  memory.Remove(*first);
  EXPECT_THAT(memory.Add(MakeMemory(64).get(), nullptr), IsOk());
}

TEST(SharedMemoryTest, ARemovedSegmentStaysMappedForThoseWhoHaveIt) {
  SharedMemory memory({.max_bytes = kBytes});
  auto until_unmapped = std::make_shared<int>();
  const auto name = memory.Add(MakeMemory(kBytes).get(), until_unmapped);
  ASSERT_THAT(name, IsOk());
  auto segment = *memory.Find(*name);
  memory.Remove(*name);
  EXPECT_THAT(memory.Find(*name), StatusIs(StatusCode::kNotFound));

  **segment->At(kBytes - 64, 64) = std::byte{1};
  EXPECT_EQ(until_unmapped.use_count(), 2);
  EXPECT_THAT(memory.Add(MakeMemory(kBytes).get(), nullptr),
              StatusIs(StatusCode::kResourceExhausted));
  segment = nullptr;
  EXPECT_EQ(until_unmapped.use_count(), 1);
  EXPECT_THAT(memory.Add(MakeMemory(kBytes).get(), nullptr), IsOk());
}

TEST(SharedMemoryTest, ASegmentMayOutliveTheRegistry) {
  std::shared_ptr<const SharedSegment> segment;
  {
    SharedMemory memory({});
    segment = *memory.Find(*memory.Add(MakeMemory(kBytes).get(), nullptr));
  }
  **segment->At(0, 1) = std::byte{1};
}

}  // namespace
}  // namespace tconv::server
