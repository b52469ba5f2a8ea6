// How a loss fell, as a drawing.
#pragma once

#include <string>
#include <vector>

namespace tconv::cli {

// An SVG of the loss by steps, from 1 on: each value, and the mean of those around it. Losses
// that are not finite are left out.
std::string DrawLossCurve(const std::vector<double>& losses, const std::string& title);

}  // namespace tconv::cli
