// client/examples/forward.py, which compares with numpy, against a real server.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/test_server.h"

namespace tconv {
namespace {

constexpr char kPython[] = "/usr/bin/python3";

TEST(PythonExampleTest, ComputesWhatNumpyComputes) {
  const std::string modules = std::string(kPython) + " -c 'import google.protobuf, grpc, numpy'";
  if (std::system(modules.c_str()) != 0) GTEST_SKIP() << "needs grpc, protobuf and numpy";
  const auto server = tconv::testing::TestServer::Start();
  const std::string command =
      std::string(kPython) + " " TCONV_PYTHON_EXAMPLE " " + server->target();
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace tconv
