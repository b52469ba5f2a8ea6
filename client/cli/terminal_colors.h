// Colors for terminals that have 256 of them.
#pragma once

#include <string>

#include "client/cli/picture.h"

namespace tconv::cli {

// The text on a gray from black, for a share of 0, to white, for 1.
std::string OnGray(const std::string& text, double share);

// A picture with two pixels, one above the other, in each character.
// REQUIRES: 3 channels.
std::string HalfBlocks(const Picture& picture);

}  // namespace tconv::cli
