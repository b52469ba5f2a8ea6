// The geometry of a layer as a drawing of characters.
#pragma once

#include <string>
#include <vector>

#include "client/cli/footprint.h"

namespace tconv::cli {

// How a drawing is shown.
enum class Drawing {
  kPlain,   // in ASCII
  kColors,  // in Unicode, with the colors of a terminal that has 256
};

// Names of the spatial axes: "length"; "height", "width"; "depth", "height", "width".
std::vector<std::string> AxisNames(size_t spatial_rank);

// A line for each input with the numbers of its taps where they land, a bar at both ends
// of the output, then how many taps each output gets. What is too wide is cut.
std::string DrawAxis(const std::string& name, const Footprint& footprint, Drawing drawing);

// How many taps each output gets in the plane of two axes, or in such planes of three; of
// the latter one for each number of taps along the first axis. Empty for one axis.
std::string DrawCoverage(const std::vector<Footprint>& axes, Drawing drawing);

}  // namespace tconv::cli
