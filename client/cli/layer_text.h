// Layers and chains described for people.
#pragma once

#include <tconv/v1/chain.pb.h>
#include <tconv/v1/layer.pb.h>

#include <string>
#include <vector>

namespace tconv::cli {

// Configuration, weights and plans, one property a line.
std::string FormatLayer(const v1::Layer& layer);

// The part of the former that says where inputs land.
std::string FormatGeometry(const v1::Layer& layer);

// A table with one layer a line.
std::string FormatLayers(const std::vector<v1::Layer>& layers);

// The same of chains; the former with its steps.
std::string FormatChain(const v1::Chain& chain);
std::string FormatChains(const std::vector<v1::Chain>& chains);

}  // namespace tconv::cli
