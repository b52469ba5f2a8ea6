// Programs of the shell, as tests ask them.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace tconv::testing {

// A word that the shell takes as it is.
inline std::string Quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// What a command writes, errors included. The test fails when it does not end with 0.
inline std::string OutputOf(const std::vector<std::string>& words) {
  std::string command = "exec 2>&1;";
  for (const std::string& word : words) command += " " + Quoted(word);
  FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

}  // namespace tconv::testing
