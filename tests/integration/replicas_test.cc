// Several servers over one PostgreSQL.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tconv/client.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/postgres_server.h"
#include "tests/support/small_layer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_server.h"

namespace tconv::testing {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using ::testing::Each;

class ReplicasTest : public ::testing::Test {
 protected:
  static constexpr size_t kReplicas = 3;

  static void SetUpTestSuite() { database_ = std::make_unique<PostgresServer>(); }
  static void TearDownTestSuite() { database_.reset(); }

  ReplicasTest() {
    for (size_t i = 0; i < kReplicas; ++i) {
      server::ServerOptions options;
      options.store = address_;
      servers_.push_back(TestServer::Start(options));
      clients_.emplace_back(servers_.back()->target());
    }
  }

  // One that does not repeat calls.
  Client Impatient(size_t replica) const {
    return Client(servers_[replica]->target(), {.retry = {.attempts = 1}});
  }
  // One that repeats them for as long as anything may take to recover.
  Client Patient(size_t replica) const {
    return Client(servers_[replica]->target(),
                  {.retry = {.attempts = 1000, .max_delay = milliseconds(100)}});
  }

  static std::unique_ptr<PostgresServer> database_;
  const std::string address_ = database_->NewDatabase();
  std::vector<std::unique_ptr<TestServer>> servers_;
  std::vector<Client> clients_;
};

std::unique_ptr<PostgresServer> ReplicasTest::database_;

TEST_F(ReplicasTest, EveryReplicaServesWhatAnyOfThemCreated) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 2)), IsOk());
  for (const Client& client : clients_) {
    const auto result = client.Forward("up", SmallInput());
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(*result->output.values<float>(), Each(6.0F));
  }
  ASSERT_THAT(clients_[1].Delete("up"), IsOk());
  EXPECT_THAT(clients_[1].Forward("up", SmallInput()), StatusIs(StatusCode::kNotFound));
}

TEST_F(ReplicasTest, AWriterReadsItsWritesFromEveryReplica) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 1)), IsOk());
  for (int64_t version = 2; version <= 30; ++version) {
    const auto replica = static_cast<size_t>(version);
    ASSERT_THAT(clients_[replica % kReplicas].SetWeights(
                    "up", SmallWeights(static_cast<float>(version)), version - 1),
                IsOkAndHolds(version));
    for (const Transfer transfer : {Transfer::kMessage, Transfer::kStream}) {
      const auto result = clients_[(replica + 1) % kReplicas].Forward(
          "up", SmallInput(), {.min_version = version, .transfer = transfer});
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ(result->weights_version, version);
      EXPECT_THAT(*result->output.values<float>(), Each(3.0F * static_cast<float>(version)));
    }
  }
}

TEST_F(ReplicasTest, AVersionThatDoesNotComeIsUnavailableBeforeTheDeadline) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 1)), IsOk());
  for (const Transfer transfer : {Transfer::kMessage, Transfer::kStream}) {
    EXPECT_THAT(
        Impatient(1).Forward(
            "up", SmallInput(),
            {.min_version = 2, .transfer = transfer, .call = {.timeout = milliseconds(500)}}),
        StatusIs(StatusCode::kUnavailable, ::testing::HasSubstr("at version 1 here")));
    EXPECT_THAT(clients_[1].Forward("up", SmallInput(), {.min_version = -1, .transfer = transfer}),
                StatusIs(StatusCode::kInvalidArgument, ::testing::HasSubstr("min_version")));
    EXPECT_THAT(clients_[1].Forward("none", SmallInput(), {.min_version = 1, .transfer = transfer}),
                StatusIs(StatusCode::kNotFound));
  }
}

TEST_F(ReplicasTest, OfTheChangesBasedOnOneVersionExactlyOneIsMade) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 1)), IsOk());
  for (int64_t version = 1; version <= 10; ++version) {
    std::atomic<int> made = 0;
    std::vector<std::thread> writers;
    for (const Client& client : clients_) {
      writers.emplace_back([&made, &client, version] {
        const auto changed = client.SetWeights("up", SmallWeights(2), version);
        if (changed.ok()) {
          EXPECT_EQ(*changed, version + 1);
          ++made;
        } else {
          EXPECT_THAT(changed, StatusIs(StatusCode::kAborted));
        }
      });
    }
    for (std::thread& writer : writers) writer.join();
    ASSERT_EQ(made, 1);
  }
}

TEST_F(ReplicasTest, AnswersBelongToOneVersionWhileAllReplicasWrite) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 1)), IsOk());
  constexpr int64_t kLast = 30;
  std::vector<std::thread> readers;
  for (const Client& client : clients_) {
    readers.emplace_back([&client] {
      int64_t version = 1;
      while (version < kLast) {
        const auto result = client.Forward("up", SmallInput(), {.min_version = version});
        ASSERT_THAT(result, IsOk());
        ASSERT_GE(result->weights_version, version);
        version = result->weights_version;
        ASSERT_THAT(*result->output.values<float>(), Each(3.0F * static_cast<float>(version)));
      }
    });
  }
  for (int64_t version = 2; version <= kLast; ++version) {
    ASSERT_THAT(clients_[static_cast<size_t>(version) % kReplicas].SetWeights(
                    "up", SmallWeights(static_cast<float>(version)), version - 1),
                IsOkAndHolds(version));
  }
  for (std::thread& reader : readers) reader.join();
}

TEST_F(ReplicasTest, WhatIsLoadedIsServedWhileTheDatabaseIsAwayAndAllRecovers) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 1)), IsOk());
  for (const Client& client : clients_) ASSERT_THAT(client.Forward("up", SmallInput()), IsOk());
  database_->Kill();
  for (size_t i = 0; i < kReplicas; ++i) {
    EXPECT_THAT(clients_[i].Forward("up", SmallInput()), IsOk());
    EXPECT_THAT(Impatient(i).SetWeights("up", SmallWeights(9)), StatusIs(StatusCode::kUnavailable));
    EXPECT_THAT(Impatient(i).Create(SmallLayer("new", 9)), StatusIs(StatusCode::kUnavailable));
    EXPECT_THAT(Impatient(i).Forward("none", SmallInput()), StatusIs(StatusCode::kUnavailable));
  }
  database_->Start();
  ASSERT_THAT(Patient(0).SetWeights("up", SmallWeights(2), 1), IsOkAndHolds(2));
  for (size_t i = 0; i < kReplicas; ++i) {
    const auto result = Patient(i).Forward("up", SmallInput(), {.min_version = 2});
    ASSERT_THAT(result, IsOk());
    EXPECT_THAT(*result->output.values<float>(), Each(6.0F));
  }
}

TEST_F(ReplicasTest, ReplicasWhoseConnectionsBreakMissNothing) {
  ASSERT_THAT(clients_[0].Create(SmallLayer("up", 1)), IsOk());
  ASSERT_THAT(clients_[1].Forward("up", SmallInput()), IsOk());
  for (int64_t version = 2; version <= 6; ++version) {
    RunSql(address_,
           "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
           "WHERE datname = current_database() AND pid <> pg_backend_pid()");
    ASSERT_THAT(Patient(0).SetWeights("up", SmallWeights(static_cast<float>(version)), version - 1),
                IsOkAndHolds(version));
    const auto result = Patient(1).Forward("up", SmallInput(), {.min_version = version});
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->weights_version, version);
  }
}

}  // namespace
}  // namespace tconv::testing
