// Which files become a store, and which are refused and left alone.
#include "server/store/sqlite_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/store/store_test_util.h"

namespace tconv::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::ReadFile;
using testing::StatusIs;
using testing::WriteFile;

// Runs SQL by SQLite alone, as another program would.
void RunSql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

class SqliteFileTest : public ::testing::Test {
 protected:
  const testing::TempFolder folder_;
  const std::string path_ = folder_ / "store.db";
};

TEST_F(SqliteFileTest, AnAbsentFileIsCreatedForItsOwnerAlone) {
  ASSERT_THAT(OpenSqliteFile(path_), IsOk());
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(SqliteFileTest, AnEmptyFileBecomesADatabase) {
  WriteFile(path_, "");
  ASSERT_THAT(OpenSqliteFile(path_), IsOk());
  EXPECT_THAT(OpenSqliteFile(path_), IsOk());
}

TEST_F(SqliteFileTest, WhatIsNotOurIntactDatabaseIsRefusedAndLeftAsItIs) {
  struct Case {
    const char* name;
    std::function<void(const std::string& path)> make;
    StatusCode code;
    const char* message;
  };
  const auto ours_then = [](const std::string& sql) {
    return [sql](const std::string& path) {
      ASSERT_THAT(OpenSqliteFile(path), IsOk());
      RunSql(path, sql);
    };
  };
  const Case kCases[] = {
      {"a text", [](const auto& path) { WriteFile(path, "Dear diary, ..."); },
       StatusCode::kFailedPrecondition, "is not an SQLite database"},
      {"a large text", [](const auto& path) { WriteFile(path, std::string(100'000, 'x')); },
       StatusCode::kFailedPrecondition, "is not an SQLite database"},
      {"a database of nobody", [](const auto& path) { RunSql(path, "CREATE TABLE t (x)"); },
       StatusCode::kFailedPrecondition, "is the database of another program"},
      {"a database of somebody",
       [](const auto& path) { RunSql(path, "PRAGMA application_id = 7; CREATE TABLE t (x)"); },
       StatusCode::kFailedPrecondition, "got 7"},
      {"a database with a log",
       [](const auto& path) { RunSql(path, "PRAGMA journal_mode = WAL; CREATE TABLE layer (x)"); },
       StatusCode::kFailedPrecondition, "is the database of another program"},
      {"a newer schema", ours_then("PRAGMA user_version = 1000"), StatusCode::kFailedPrecondition,
       "expected schema version 4 or older, got 1000"},
      {"a truncated database",
       [](const auto& path) {
         ASSERT_THAT(OpenSqliteFile(path), IsOk());
         fs::resize_file(path, fs::file_size(path) / 2);
       },
       StatusCode::kDataLoss, ""},
      {"a damaged schema",
       [](const auto& path) {
         ASSERT_THAT(OpenSqliteFile(path), IsOk());
         std::string bytes = ReadFile(path);
         std::fill(bytes.begin() + 100, bytes.begin() + 16'384, '\x55');
         WriteFile(path, bytes);
       },
       StatusCode::kDataLoss, ""},
      {"a damaged index of layers",
       [](const auto& path) {
         ASSERT_THAT(OpenSqliteFile(path), IsOk());
         std::string bytes = ReadFile(path);
         std::fill(bytes.begin() + 2 * 16'384, bytes.begin() + 3 * 16'384, '\x55');
         WriteFile(path, bytes);
       },
       StatusCode::kDataLoss, "damaged"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const std::string path = folder_ / c.name;
    ASSERT_NO_FATAL_FAILURE(c.make(path));
    const std::string before = ReadFile(path);
    EXPECT_THAT(OpenSqliteFile(path),
                StatusIs(c.code, AllOf(HasSubstr(path), HasSubstr(c.message))));
    EXPECT_EQ(ReadFile(path), before);
  }
}

TEST_F(SqliteFileTest, ARefusedDatabaseKeepsItsLog) {
  ASSERT_THAT(OpenSqliteFile(path_), IsOk());
  sqlite3* newer = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &newer), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(newer, "PRAGMA user_version = 9", nullptr, nullptr, nullptr), SQLITE_OK);
  fs::copy_file(path_, folder_ / "copy");
  fs::copy_file(path_ + "-wal", folder_ / "copy-wal");
  sqlite3_close(newer);

  const std::string file = ReadFile(folder_ / "copy");
  const std::string log = ReadFile(folder_ / "copy-wal");
  EXPECT_THAT(OpenSqliteFile(folder_ / "copy"),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("newer version")));
  EXPECT_EQ(ReadFile(folder_ / "copy"), file);
  EXPECT_EQ(ReadFile(folder_ / "copy-wal"), log);
}

TEST_F(SqliteFileTest, PathsThatCannotBeAFileAreRefused) {
  fs::create_directory(folder_ / "folder");
  WriteFile(folder_ / "text", "x");
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  for (const char* name : {"folder", "absent/store.db", "text/store.db", "pipe"}) {
    EXPECT_THAT(OpenSqliteFile(folder_ / name),
                StatusIs(StatusCode::kFailedPrecondition, HasSubstr(name)));
  }
  EXPECT_FALSE(fs::exists(folder_ / "absent"));
}

// Root may do everything; these tests give that up for a while.
class Unprivileged {
 public:
  Unprivileged() : user_(geteuid()) {
    if (user_ == 0) {
      EXPECT_EQ(seteuid(65'534), 0);
    }
  }
  ~Unprivileged() { EXPECT_EQ(seteuid(user_), 0); }

 private:
  uid_t user_;
};

TEST_F(SqliteFileTest, FilesThatMayNotBeWrittenAreRefused) {
  ASSERT_THAT(OpenSqliteFile(path_), IsOk());
  fs::permissions(path_, fs::perms::owner_read);
  fs::permissions(folder_ / ".",
                  fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  const std::string before = ReadFile(path_);
  {
    const Unprivileged unprivileged;
    EXPECT_THAT(OpenSqliteFile(path_), StatusIs(StatusCode::kPermissionDenied, HasSubstr(path_)));
  }
  EXPECT_EQ(ReadFile(path_), before);
}

TEST_F(SqliteFileTest, FoldersThatMayNotBeWrittenAreRefused) {
  fs::create_directory(folder_ / "closed");
  fs::permissions(folder_ / ".", fs::perms::owner_all | fs::perms::others_exec);
  fs::permissions(folder_ / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  const Unprivileged unprivileged;
  EXPECT_THAT(OpenSqliteFile(folder_ / "closed/store.db"),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("closed/store.db")));
}

TEST_F(SqliteFileTest, AFileIsOpenOnce) {
  const auto in_use = StatusIs(StatusCode::kFailedPrecondition, HasSubstr("another server holds"));
  const StatusOr<SqliteFile> first = OpenSqliteFile(path_);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(OpenSqliteFile(path_), in_use);

  fs::create_symlink(path_, folder_ / "link");
  EXPECT_THAT(OpenSqliteFile(folder_ / "link"), in_use);
}

TEST_F(SqliteFileTest, ClosingAFileLetsTheNextOneOpenIt) {
  ASSERT_THAT(OpenSqliteFile(path_), IsOk());
  EXPECT_THAT(OpenSqliteFile(path_), IsOk());
}

TEST_F(SqliteFileTest, AFileIsOpenInOneProcessUntilItEndsHowever) {
  int opened[2];
  ASSERT_EQ(pipe(opened), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    const StatusOr<SqliteFile> file = OpenSqliteFile(path_);
    const bool told = write(opened[1], file.ok() ? "+" : "-", 1) == 1;
    while (told) pause();
    _exit(1);
  }
  char answer = 0;
  ASSERT_EQ(read(opened[0], &answer, 1), 1);
  ASSERT_EQ(answer, '+');
  EXPECT_THAT(OpenSqliteFile(path_), StatusIs(StatusCode::kFailedPrecondition));

  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_THAT(OpenSqliteFile(path_), IsOk());
  close(opened[0]);
  close(opened[1]);
}

}  // namespace
}  // namespace tconv::server
