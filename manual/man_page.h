// Pages for man(1).
#pragma once

#include <string>

#include "manual/command_docs.h"

namespace tconv::manual {

struct PageFacts {
  int section = 1;
  std::string version = {};   // "0.1.0"
  std::string date = {};      // "2026-11-21"
  std::string see_also = {};  // another page, "tconv-server(8)"
};

// In the macros of man(7).
std::string ManPage(const CommandDocs& program, const PageFacts& facts);

}  // namespace tconv::manual
