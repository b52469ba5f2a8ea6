#include "server/rpc/segment_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/memfd.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace tconv::server {
namespace {

using codec::FileDescriptor;
using testing::CountDescriptors;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::MakeMemory;
using testing::StatusIs;

constexpr int64_t kBytes = 4096;

class SegmentServerTest : public ::testing::Test {
 protected:
  StatusOr<std::unique_ptr<SegmentServer>> Start(SegmentServerOptions options = {}) {
    options.path = path_;
    return SegmentServer::Start(options, memory_);
  }

  FileDescriptor Connect() const {
    const auto address = *codec::SocketAddress(path_);
    FileDescriptor client(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0)
        << std::strerror(errno);
    return client;
  }

  static StatusOr<std::string> Offer(const FileDescriptor& client, const FileDescriptor& memory) {
    TCONV_RETURN_IF_ERROR(codec::SendOffer(client.get(), memory.get()));
    return codec::ReceiveAnswer(client.get());
  }

  // The server handles what has happened before a connection before it answers
  // that connection.
  void AwaitServer() const {
    const FileDescriptor client = Connect();
    EXPECT_THAT(Offer(client, MakeMemory(kBytes, 0)), StatusIs(StatusCode::kInvalidArgument));
    AwaitEnd(client);
  }

  // Reads until the connection has ended.
  static void AwaitEnd(const FileDescriptor& client) {
    char byte = 0;
    while (recv(client.get(), &byte, 1, 0) > 0) {
    }
  }

  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "memory.sock";
  SharedMemory memory_{{}};
};

TEST_F(SegmentServerTest, AnOfferIsAnsweredWithTheNameOfASegment) {
  const auto server = Start();
  ASSERT_THAT(server, IsOk());
  const FileDescriptor client = Connect();
  const auto name = Offer(client, MakeMemory(kBytes));
  ASSERT_THAT(name, IsOk());
  EXPECT_THAT(memory_.Find(*name), IsOk());
}

TEST_F(SegmentServerTest, ASegmentEndsWithItsConnection) {
  const auto server = Start();
  const FileDescriptor kept = Connect();
  const auto kept_name = Offer(kept, MakeMemory(kBytes));
  std::string closed_name;
  {
    const FileDescriptor closed = Connect();
    closed_name = *Offer(closed, MakeMemory(kBytes));
  }
  AwaitServer();
  EXPECT_THAT(memory_.Find(closed_name), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(memory_.Find(*kept_name), IsOk());
}

TEST_F(SegmentServerTest, TheClientSeesTheEndWhenTheMemoryIsNotUsedAnyMore) {
  const auto server = Start();
  const FileDescriptor client = Connect();
  const auto name = Offer(client, MakeMemory(kBytes));
  auto used = *memory_.Find(*name);
  shutdown(client.get(), SHUT_WR);
  AwaitServer();
  EXPECT_THAT(memory_.Find(*name), StatusIs(StatusCode::kNotFound));

  char byte = 0;
  EXPECT_EQ(recv(client.get(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  **used->At(0, kBytes) = std::byte{1};
  used = nullptr;
  EXPECT_EQ(recv(client.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_F(SegmentServerTest, MemoryThatIsRefusedIsAnsweredWithTheReason) {
  const auto server = Start();
  EXPECT_THAT(Offer(Connect(), MakeMemory(kBytes, 0)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("F_SEAL_SHRINK")));
}

TEST_F(SegmentServerTest, GarbageIsAnsweredWithAnErrorAndTheEnd) {
  const auto server = Start();
  const std::string long_garbage(100'000, 'x');
  for (const std::string_view garbage :
       {std::string_view("x"), std::string_view("tconv-m1"), std::string_view("tconv-m2"),
        std::string_view(long_garbage)}) {
    const FileDescriptor client = Connect();
    ASSERT_EQ(send(client.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(garbage.size()));
    EXPECT_THAT(codec::ReceiveAnswer(client.get()), StatusIs(StatusCode::kInvalidArgument));
    AwaitEnd(client);
  }
}

TEST_F(SegmentServerTest, WhateverFollowsAnOfferEndsTheSegment) {
  const auto server = Start();
  const FileDescriptor client = Connect();
  const auto name = Offer(client, MakeMemory(kBytes));
  ASSERT_THAT(codec::SendOffer(client.get(), MakeMemory(kBytes).get()), IsOk());
  AwaitEnd(client);
  EXPECT_THAT(memory_.Find(*name), StatusIs(StatusCode::kNotFound));
}

TEST_F(SegmentServerTest, APeerThatSaysNothingIsLetGo) {
  const auto server = Start({.offer_timeout = std::chrono::milliseconds(10)});
  const FileDescriptor client = Connect();
  AwaitEnd(client);
}

TEST_F(SegmentServerTest, AStalledPeerDoesNotHoldUpOthers) {
  const auto server = Start({.offer_timeout = std::chrono::hours(1)});
  const FileDescriptor stalled = Connect();
  EXPECT_THAT(Offer(Connect(), MakeMemory(kBytes)), IsOk());
}

TEST_F(SegmentServerTest, ConnectionsBeyondTheLimitWaitForOneToEnd) {
  const auto server = Start({.max_connections = 1});
  FileDescriptor first = Connect();
  ASSERT_THAT(Offer(first, MakeMemory(kBytes)), IsOk());
  const FileDescriptor second = Connect();
  ASSERT_THAT(codec::SendOffer(second.get(), MakeMemory(kBytes).get()), IsOk());
  { const FileDescriptor closed = std::move(first); }
  EXPECT_THAT(codec::ReceiveAnswer(second.get()), IsOk());
}

// A client may send any number of descriptors, with or without an offer.
void SendDescriptors(const FileDescriptor& client, std::string_view text, int count) {
  const FileDescriptor memory = MakeMemory(kBytes);
  const std::vector<int> descriptors(static_cast<size_t>(count), memory.get());
  const size_t bytes = descriptors.size() * sizeof(int);
  std::vector<cmsghdr> control(CMSG_SPACE(bytes) / sizeof(cmsghdr) + 1);
  std::string content(text);
  iovec part = {content.data(), content.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(rights), descriptors.data(), bytes);
  ASSERT_GE(sendmsg(client.get(), &message, MSG_NOSIGNAL), 0);
}

TEST_F(SegmentServerTest, NoDescriptorIsLeftBehind) {
  const auto server = Start();
  AwaitServer();
  const auto before = CountDescriptors();
  for (int round = 0; round < 50; ++round) {
    for (const int count : {1, 2, 3, 10}) {
      for (const std::string_view text : {"tconv-m1", "garbage"}) {
        const FileDescriptor client = Connect();
        SendDescriptors(client, text, count);
        EXPECT_EQ(codec::ReceiveAnswer(client.get()).ok(), count == 1 && text == "tconv-m1");
      }
    }
    EXPECT_THAT(Offer(Connect(), MakeMemory(kBytes, 0)), StatusIs(StatusCode::kInvalidArgument));
    { const FileDescriptor silent = Connect(); }
  }
  AwaitServer();
  EXPECT_EQ(CountDescriptors(), before);
}

TEST_F(SegmentServerTest, OnlyTheUserMayOpenTheSocket) {
  const auto server = Start();
  struct stat file = {};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST_F(SegmentServerTest, OtherUsersAreRefusedEvenIfTheyCanOpenTheSocket) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can act as somebody else";
  const auto server = Start();
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  std::thread nobody([this] {
    constexpr int kNobody = 65534;
    // Of this thread alone, unlike the function of libc.
    ASSERT_EQ(syscall(SYS_setresuid, -1, kNobody, -1), 0);
    EXPECT_THAT(Offer(Connect(), MakeMemory(kBytes)), StatusIs(StatusCode::kPermissionDenied));
  });
  nobody.join();
}

TEST_F(SegmentServerTest, TheSocketIsRemovedAtTheEnd) {
  {
    const auto server = Start();
    ASSERT_EQ(access(path_.c_str(), F_OK), 0);
  }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(SegmentServerTest, TheEndRemovesSegments) {
  auto server = *Start();
  const FileDescriptor client = Connect();
  const auto name = Offer(client, MakeMemory(kBytes));
  server = nullptr;
  EXPECT_THAT(memory_.Find(*name), StatusIs(StatusCode::kNotFound));
  AwaitEnd(client);
}

TEST_F(SegmentServerTest, ASocketThatAKilledServerLeftIsReplaced) {
  const auto address = *codec::SocketAddress(path_);
  {
    const FileDescriptor killed(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    ASSERT_EQ(bind(killed.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  const auto server = Start();
  ASSERT_THAT(server, IsOk());
  EXPECT_THAT(Offer(Connect(), MakeMemory(kBytes)), IsOk());
}

TEST_F(SegmentServerTest, ASocketThatSomebodyListensOnIsLeftAlone) {
  const auto first = Start();
  EXPECT_THAT(Start(), StatusIs(StatusCode::kUnavailable, HasSubstr("listens")));
  EXPECT_THAT(Offer(Connect(), MakeMemory(kBytes)), IsOk());
}

TEST_F(SegmentServerTest, AnotherFileIsLeftAlone) {
  testing::WriteFile(path_, "precious");
  EXPECT_THAT(Start(), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("not a socket")));
  EXPECT_EQ(testing::ReadFile(path_), "precious");
}

TEST_F(SegmentServerTest, APathThatIsTooLongIsRefused) {
  EXPECT_THAT(SegmentServer::Start({.path = "/tmp/" + std::string(200, 'x')}, memory_),
              StatusIs(StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tconv::server
