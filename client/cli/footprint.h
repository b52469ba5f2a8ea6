// Where the taps of a layer land along one spatial axis, by the rule of Keras.
#pragma once

#include <tconv/v1/layer.pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tconv::cli {

// Input i and tap j reach the place i * stride + j * dilation of the full result, of
// which the output is a part: its first position is the place `crop_begin`. Positions
// that nothing reaches hold the bias alone.
struct Footprint {
  int64_t in = 0;
  int64_t out = 0;
  int64_t kernel = 0;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t crop_begin = 0;

  // Places from the first tap of an input to its last, both included.
  int64_t reach() const { return (kernel - 1) * dilation + 1; }
  // Places at the end that the output leaves out; negative: positions of the output
  // that lie behind the last place.
  int64_t crop_end() const { return (in - 1) * stride + reach() - out - crop_begin; }

  // The tap with which an input reaches a place. Nothing: it does not.
  std::optional<int64_t> TapAt(int64_t input, int64_t place) const;
  // How many taps of all inputs reach a position of the output.
  int64_t Coverage(int64_t position) const;
};

// Of an axis with `in` inputs. REQUIRES: a configuration that a server has answered,
// 0 < in.
Footprint FootprintOf(const v1::LayerConfig& config, int axis, int64_t in);

// So many inputs that most of what repeats can be seen, and not too many to draw.
int64_t InputsToDraw(const v1::LayerConfig& config, int axis);

// A sentence about an axis.
struct Remark {
  bool is_warning = false;
  std::string text;
};

// Whether the positions of the output are covered alike, and what else is remarkable
// about an axis of that name.
std::vector<Remark> RemarksOn(const std::string& axis, const Footprint& footprint);

}  // namespace tconv::cli
