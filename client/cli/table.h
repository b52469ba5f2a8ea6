// Text in columns, for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tconv::cli {

using Rows = std::vector<std::vector<std::string>>;

// One line per row, columns padded to their widest cell and two spaces apart.
// Rows may differ in length. The cells are UTF-8; a width is a number of code
// points.
std::string FormatTable(const Rows& rows);

// Adds rows to the end of others.
void Append(Rows more, Rows& rows);

// 1536 as "1.5 KiB".
std::string FormatBytes(int64_t bytes);

}  // namespace tconv::cli
