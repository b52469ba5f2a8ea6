// Short descriptions of layers for tests.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "server/layer/layer_config.h"

namespace tconv::testing {

// LayerConfigBuilder().Filters(8).KernelSize({3, 3}).Strides({2, 2}).Build()
//
// Starts from one filter and a 1 x 1 kernel; what is not said has Keras'
// defaults. The number of spatial axes follows the kernel size. The config is
// not validated, so that tests can describe wrong ones too. Objects are named as
// in Keras and must exist.
class LayerConfigBuilder {
 public:
  LayerConfigBuilder() {
    config_.spatial_rank = 2;
    config_.filters = 1;
    config_.kernel_size = {1, 1};
  }

  LayerConfigBuilder& Name(std::string name) {
    config_.name = std::move(name);
    return *this;
  }
  LayerConfigBuilder& Trainable(bool trainable) {
    config_.trainable = trainable;
    return *this;
  }
  LayerConfigBuilder& DType(const std::string& policy) {
    config_.dtype = server::ParseDTypePolicy(policy).value();
    return *this;
  }
  LayerConfigBuilder& Filters(int64_t filters) {
    config_.filters = filters;
    return *this;
  }
  LayerConfigBuilder& KernelSize(server::SpatialDims kernel_size) {
    config_.spatial_rank = static_cast<int>(kernel_size.size());
    config_.kernel_size = std::move(kernel_size);
    return *this;
  }
  LayerConfigBuilder& Strides(server::SpatialDims strides) {
    config_.strides = std::move(strides);
    return *this;
  }
  LayerConfigBuilder& Padding(server::Padding padding) {
    config_.padding = padding;
    return *this;
  }
  LayerConfigBuilder& Same() { return Padding(server::Padding::kSame); }
  LayerConfigBuilder& OutputPadding(std::optional<server::SpatialDims> output_padding) {
    config_.output_padding = std::move(output_padding);
    return *this;
  }
  LayerConfigBuilder& DataFormat(server::DataFormat data_format) {
    config_.data_format = data_format;
    return *this;
  }
  LayerConfigBuilder& ChannelsFirst() { return DataFormat(server::DataFormat::kChannelsFirst); }
  LayerConfigBuilder& DilationRate(server::SpatialDims dilation_rate) {
    config_.dilation_rate = std::move(dilation_rate);
    return *this;
  }
  LayerConfigBuilder& Activation(const server::ObjectSpec& spec) {
    config_.activation = server::Activation::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& Activation(const std::string& name) {
    return Activation(server::ObjectSpec{name, {}});
  }
  LayerConfigBuilder& UseBias(bool use_bias) {
    config_.use_bias = use_bias;
    return *this;
  }
  LayerConfigBuilder& KernelInitializer(const server::ObjectSpec& spec) {
    config_.kernel_initializer = server::Initializer::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& BiasInitializer(const server::ObjectSpec& spec) {
    config_.bias_initializer = server::Initializer::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& KernelRegularizer(const server::ObjectSpec& spec) {
    config_.kernel_regularizer = server::Regularizer::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& BiasRegularizer(const server::ObjectSpec& spec) {
    config_.bias_regularizer = server::Regularizer::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& ActivityRegularizer(const server::ObjectSpec& spec) {
    config_.activity_regularizer = server::Regularizer::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& KernelConstraint(const server::ObjectSpec& spec) {
    config_.kernel_constraint = server::Constraint::Make(spec).value();
    return *this;
  }
  LayerConfigBuilder& BiasConstraint(const server::ObjectSpec& spec) {
    config_.bias_constraint = server::Constraint::Make(spec).value();
    return *this;
  }

  server::LayerConfig Build() const {
    server::LayerConfig config = config_;
    const server::SpatialDims ones(config.kernel_size.size(), 1);
    if (config.strides.empty()) config.strides = ones;
    if (config.dilation_rate.empty()) config.dilation_rate = ones;
    return config;
  }

 private:
  server::LayerConfig config_;
};

}  // namespace tconv::testing
