// The examples in Python, which check themselves, against a real server.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/support/test_server.h"

namespace tconv {
namespace {

constexpr char kPython[] = "/usr/bin/python3";

// Each is a test of its own for ctest, which tells those that were skipped.
class PythonExampleTest : public ::testing::Test {
 protected:
  static bool Has(const std::string& modules) {
    const std::string command = std::string(kPython) + " -c 'import " + modules + "' 2>/dev/null";
    return std::system(command.c_str()) == 0;
  }

  static void Run(const std::string& example) {
    const auto server = tconv::testing::TestServer::Start();
    const std::string command =
        std::string(kPython) + " " TCONV_PYTHON_EXAMPLES "/" + example + " " + server->target();
    EXPECT_EQ(std::system(command.c_str()), 0);
  }

  void SetUp() override {
    if (!Has("google.protobuf, grpc, numpy")) GTEST_SKIP() << "needs grpc, protobuf and numpy";
  }
};

TEST_F(PythonExampleTest, ComputesWhatNumpyComputes) { Run("forward.py"); }

TEST_F(PythonExampleTest, LearnsInPyTorchWhatPyTorchLearns) {
  if (!Has("torch")) GTEST_SKIP() << "needs torch";
  Run("torch_layer.py");
}

TEST_F(PythonExampleTest, LearnsInKerasWhatKerasLearns) {
  if (!Has("keras, torch; assert keras.version().startswith(\"3\")")) {
    GTEST_SKIP() << "needs Keras 3 with torch";
  }
  Run("keras_layer.py");
}

}  // namespace
}  // namespace tconv
