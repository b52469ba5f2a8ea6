// Layers described for people.
#pragma once

#include <tconv/v1/layer.pb.h>

#include <string>
#include <vector>

namespace tconv::cli {

// Configuration, weights and plans, one property a line.
std::string FormatLayer(const v1::Layer& layer);

// A table with one layer a line.
std::string FormatLayers(const std::vector<v1::Layer>& layers);

}  // namespace tconv::cli
