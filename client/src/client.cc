#include <tconv/client.h>

#include <utility>

namespace tconv {
namespace {

v1::Weights ToProto(Weights weights) {
  v1::Weights proto;
  *proto.mutable_kernel() = std::move(weights.kernel).proto();
  if (weights.bias) *proto.mutable_bias() = std::move(*weights.bias).proto();
  return proto;
}

Weights FromProto(v1::Weights proto) {
  Weights weights;
  weights.kernel = Tensor::FromProto(std::move(*proto.mutable_kernel()));
  if (proto.has_bias()) weights.bias = Tensor::FromProto(std::move(*proto.mutable_bias()));
  return weights;
}

// Keeps the field absent for an absent configuration, so that the server can
// say what is missing.
void SetDefinition(std::variant<v1::LayerConfig, KerasJson> definition,
                   v1::CreateRequest& request) {
  if (auto* config = std::get_if<v1::LayerConfig>(&definition)) {
    *request.mutable_config() = std::move(*config);
  } else {
    request.set_keras_json(std::move(std::get<KerasJson>(definition).text));
  }
}

v1::ForwardRequest MakeForwardRequest(const std::string& name, Tensor input,
                                      const ForwardOptions& options) {
  v1::ForwardRequest request;
  request.set_name(name);
  *request.mutable_input() = std::move(input).proto();
  request.set_compute_losses(options.compute_losses);
  return request;
}

absl::StatusOr<ForwardResult> ToResult(absl::StatusOr<v1::ForwardResponse> response) {
  if (!response.ok()) return std::move(response).status();
  return ForwardResult{
      .output = Tensor::FromProto(std::move(*response->mutable_output())),
      .weights_version = response->weights_version(),
      .losses = {response->losses().begin(), response->losses().end()},
  };
}

}  // namespace

absl::StatusOr<v1::Layer> Client::Create(NewLayer layer, const CallOptions& options) const {
  v1::CreateRequest request;
  request.set_name(std::move(layer.name));
  SetDefinition(std::move(layer.definition), request);
  request.mutable_input_shape()->Assign(layer.input_shape.begin(), layer.input_shape.end());
  if (layer.weights) *request.mutable_weights() = ToProto(*std::move(layer.weights));
  auto response = connection_->Create(request, options);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_layer());
}

absl::StatusOr<v1::Layer> Client::Build(const std::string& name, const Shape& input_shape,
                                        const CallOptions& options) const {
  v1::BuildRequest request;
  request.set_name(name);
  request.mutable_input_shape()->Assign(input_shape.begin(), input_shape.end());
  auto response = connection_->Build(request, options);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_layer());
}

absl::StatusOr<int64_t> Client::SetWeights(const std::string& name, Weights weights,
                                           std::optional<int64_t> if_version,
                                           const CallOptions& options) const {
  v1::SetWeightsRequest request;
  request.set_name(name);
  *request.mutable_weights() = ToProto(std::move(weights));
  if (if_version) request.set_if_version(*if_version);
  const auto response = connection_->SetWeights(request, options);
  if (!response.ok()) return response.status();
  return response->weights_version();
}

absl::StatusOr<VersionedWeights> Client::GetWeights(const std::string& name,
                                                    const CallOptions& options) const {
  v1::GetWeightsRequest request;
  request.set_name(name);
  auto response = connection_->GetWeights(request, options);
  if (!response.ok()) return response.status();
  return VersionedWeights{.weights = FromProto(std::move(*response->mutable_weights())),
                          .version = response->weights_version()};
}

absl::StatusOr<ForwardResult> Client::Forward(const std::string& name, Tensor input,
                                              const ForwardOptions& options) const {
  return ToResult(
      connection_->Forward(MakeForwardRequest(name, std::move(input), options), options.call));
}

void Client::ForwardAsync(const std::string& name, Tensor input, const ForwardOptions& options,
                          ForwardCallback done) const {
  connection_->ForwardAsync(MakeForwardRequest(name, std::move(input), options), options.call,
                            [done = std::move(done)](absl::StatusOr<v1::ForwardResponse> response) {
                              done(ToResult(std::move(response)));
                            });
}

std::future<absl::StatusOr<ForwardResult>> Client::ForwardAsync(
    const std::string& name, Tensor input, const ForwardOptions& options) const {
  // Shared, because std::function asks for a copyable callback.
  auto promise = std::make_shared<std::promise<absl::StatusOr<ForwardResult>>>();
  auto future = promise->get_future();
  ForwardAsync(name, std::move(input), options, [promise](absl::StatusOr<ForwardResult> result) {
    promise->set_value(std::move(result));
  });
  return future;
}

absl::StatusOr<Shape> Client::ComputeOutputShape(const std::string& name, const Shape& input_shape,
                                                 const CallOptions& options) const {
  v1::ComputeOutputShapeRequest request;
  request.set_name(name);
  request.mutable_input_shape()->Assign(input_shape.begin(), input_shape.end());
  const auto response = connection_->ComputeOutputShape(request, options);
  if (!response.ok()) return response.status();
  return Shape(response->output_shape().begin(), response->output_shape().end());
}

absl::StatusOr<v1::Layer> Client::Get(const std::string& name, const CallOptions& options) const {
  v1::GetRequest request;
  request.set_name(name);
  auto response = connection_->Get(request, options);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_layer());
}

absl::StatusOr<v1::ListResponse> Client::List(int32_t page_size, const std::string& page_token,
                                              const CallOptions& options) const {
  v1::ListRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  return connection_->List(request, options);
}

absl::StatusOr<std::vector<v1::Layer>> Client::ListAll(const CallOptions& options) const {
  constexpr int32_t kLargestPage = 1000;
  std::vector<v1::Layer> layers;
  std::string page_token;
  do {
    auto page = List(kLargestPage, page_token, options);
    if (!page.ok()) return page.status();
    for (v1::Layer& layer : *page->mutable_layers()) layers.push_back(std::move(layer));
    page_token = page->next_page_token();
  } while (!page_token.empty());
  return layers;
}

absl::Status Client::Delete(const std::string& name, const CallOptions& options) const {
  v1::DeleteRequest request;
  request.set_name(name);
  return connection_->Delete(request, options).status();
}

absl::Status Client::CheckHealth(const std::string& service, const CallOptions& options) const {
  return connection_->CheckHealth(service, options);
}

}  // namespace tconv
