#include "manual/manual_files.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "manual/completion.h"
#include "manual/man_page.h"

namespace tconv::manual {
namespace {

bool Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (file << text << std::flush) return true;
  std::cerr << path.string() << ": cannot be written" << std::endl;
  return false;
}

}  // namespace

int WriteManual(const CLI::App& app, int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "expected FOLDER SECTION VERSION DATE PAGE" << std::endl;
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const PageFacts facts{
      .section = std::stoi(argv[2]), .version = argv[3], .date = argv[4], .see_also = argv[5]};
  const CommandDocs docs = DocsOf(app);
  const bool written = Write(folder / (docs.name + "." + argv[2]), ManPage(docs, facts)) &&
                       Write(folder / (docs.name + ".bash"), BashCompletion(docs)) &&
                       Write(folder / ("_" + docs.name), ZshCompletion(docs)) &&
                       Write(folder / (docs.name + ".fish"), FishCompletion(docs));
  return written ? 0 : 1;
}

}  // namespace tconv::manual
