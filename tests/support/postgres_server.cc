#include "tests/support/postgres_server.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <vector>

namespace tconv::testing {
namespace {

constexpr char kSuperuser[] = "tconv";
constexpr std::chrono::seconds kStartLimit{60};

struct User {
  uid_t id;
  gid_t group;
};

// Who runs PostgreSQL: the caller, but never root.
User Unprivileged() {
  if (geteuid() != 0) return {geteuid(), getegid()};
  const passwd* nobody = getpwnam("nobody");
  if (nobody == nullptr) {
    ADD_FAILURE() << "there is no user \"nobody\" to run PostgreSQL";
    return {geteuid(), getegid()};
  }
  return {nobody->pw_uid, nobody->pw_gid};
}

// In the child, where only what is safe after a fork of threads may be called.
[[noreturn]] void Become(const User& user, const char* log, char** argv) {
  const int output = open(log, O_WRONLY | O_APPEND);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  if (geteuid() == 0 &&
      (setgroups(0, nullptr) != 0 || setgid(user.group) != 0 || setuid(user.id) != 0)) {
    _exit(126);
  }
  prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after setuid(), which clears it
  execv(argv[0], argv);
  _exit(127);
}

// Starts a program of PostgreSQL that writes to `log`.
pid_t Spawn(const std::string& program, std::vector<std::string> arguments,
            const std::string& log) {
  arguments.insert(arguments.begin(), std::string(TCONV_POSTGRES_BINARIES) + "/" + program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const User user = Unprivileged();
  const pid_t pid = fork();
  if (pid == 0) Become(user, log.c_str(), argv.data());
  return pid;
}

int WaitFor(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string Quoted(const std::string& name) { return "\"" + name + "\""; }

}  // namespace

PostgresServer::PostgresServer() {
  const User user = Unprivileged();
  WriteFile(folder_ / "log", "");
  for (const std::string& path : {folder(), folder_ / "log"}) {
    if (chown(path.c_str(), user.id, user.group) != 0) ADD_FAILURE() << "cannot give away " << path;
  }
  const pid_t initdb =
      Spawn("initdb",
            {"--pgdata=" + folder_ / "data", "--auth=trust", "--no-sync", "--encoding=UTF8",
             "--locale=C", std::string("--username=") + kSuperuser},
            folder_ / "log");
  if (WaitFor(initdb) != 0) ADD_FAILURE() << "initdb: " << ReadFile(folder_ / "log");
  Start();
}

PostgresServer::~PostgresServer() {
  if (pid_ > 0) Kill();
}

void PostgresServer::Start() {
  // Crashes of processes are survived without fsync.
  pid_ = Spawn("postgres",
               {"-D", folder_ / "data", "-k", folder(), "-c", "listen_addresses=", "-c",
                "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60"},
               folder_ / "log");
  const std::string address = "host=" + folder() + " user=" + kSuperuser + " dbname=postgres";
  const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
  while (PQping(address.c_str()) != PQPING_OK) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "PostgreSQL does not start: " << ReadFile(folder_ / "log");
      return;
    }
    poll(nullptr, 0, 5);  // nothing announces that it is ready
  }
}

void PostgresServer::End(int signal) {
  kill(pid_, signal);
  WaitFor(pid_);
  pid_ = -1;
}

void PostgresServer::Stop() { End(SIGINT); }

void PostgresServer::Kill() { End(SIGQUIT); }

std::string PostgresServer::NewDatabase() {
  const auto address = [this](const std::string& database) {
    return "postgres://" + std::string(kSuperuser) + "@/" + database + "?host=" + folder();
  };
  const std::string name = "store" + std::to_string(++databases_);
  RunSql(address("postgres"), "CREATE DATABASE " + Quoted(name));
  return address(name);
}

SqlSession::SqlSession(const std::string& address) : connection_(PQconnectdb(address.c_str())) {
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
}

SqlSession::~SqlSession() { PQfinish(connection_); }

std::string SqlSession::Run(const std::string& sql) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_, sql.c_str()),
                                                             &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_TUPLES_OK) {
    return PQntuples(result.get()) == 0 ? "" : PQgetvalue(result.get(), 0, 0);
  }
  if (status != PGRES_COMMAND_OK) ADD_FAILURE() << sql << ": " << PQerrorMessage(connection_);
  return "";
}

std::string RunSql(const std::string& address, const std::string& sql) {
  return SqlSession(address).Run(sql);
}

}  // namespace tconv::testing
