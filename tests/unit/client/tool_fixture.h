// The tool over a connection that a test plays.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/npy.h"
#include "client/cli/tool.h"
#include "tests/unit/client/mock_connection.h"

namespace tconv::cli {

inline std::string NpyOf(const Tensor& tensor) {
  std::ostringstream file;
  EXPECT_TRUE(WriteNpy(file, tensor).ok());
  return file.str();
}

class ToolTest : public ::testing::Test {
 protected:
  // Runs the tool and returns its exit code; its output is in out() and err().
  int Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    std::istringstream in(input);
    out_.str("");
    err_.str("");
    return RunTool(arguments, {.in = in, .out = out_, .err = err_},
                   [this](const std::string& target, const ClientOptions& options) {
                     target_ = target;
                     options_ = options;
                     return connection_;
                   });
  }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  const std::shared_ptr<::testing::StrictMock<tconv::testing::MockConnection>> connection_ =
      std::make_shared<::testing::StrictMock<tconv::testing::MockConnection>>();
  std::string target_;
  ClientOptions options_;

 private:
  std::ostringstream out_, err_;
};

}  // namespace tconv::cli
