#include <tconv/client.h>

#include <random>
#include <utility>

namespace tconv {
namespace {

// 128 random bits: no two steps ever share a name.
std::string RandomStepId() {
  constexpr char kHexDigits[] = "0123456789abcdef";
  std::random_device random;
  std::string id;
  for (int i = 0; i < 32; ++i) id.push_back(kHexDigits[random() % 16]);
  return id;
}

// The same options, with a name for the step.
template <typename Options>
Options Named(Options options) {
  if (options.step_id.empty()) options.step_id = RandomStepId();
  return options;
}

constexpr int32_t kLargestPage = 1000;

// The items of all pages that list(page_token) answers.
template <typename Item, typename Response, typename List>
absl::StatusOr<std::vector<Item>> AllPages(
    google::protobuf::RepeatedPtrField<Item>* (Response::*items)(), List list) {
  std::vector<Item> all;
  std::string page_token;
  do {
    absl::StatusOr<Response> page = list(page_token);
    if (!page.ok()) return page.status();
    for (Item& item : *((*page).*items)()) all.push_back(std::move(item));
    page_token = page->next_page_token();
  } while (!page_token.empty());
  return all;
}

void SetStep(const ChainStep& step, v1::ChainStep& proto) {
  if (const auto* layer = std::get_if<std::string>(&step)) {
    proto.set_layer(*layer);
  } else {
    *proto.mutable_activation() = std::get<v1::KerasObject>(step);
  }
}

}  // namespace

absl::StatusOr<v1::Layer> Client::Create(NewLayer layer, const CallOptions& options) const {
  return connection_->Create(layer, options);
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
  return connection_->SetWeights(name, {.weights = std::move(weights), .if_version = if_version},
                                 options);
}

absl::StatusOr<VersionedWeights> Client::GetWeights(const std::string& name,
                                                    const CallOptions& options) const {
  return connection_->GetWeights(name, options);
}

absl::StatusOr<ForwardResult> Client::Forward(const std::string& name, const Tensor& input,
                                              const ForwardOptions& options) const {
  return connection_->Forward(name, input, options);
}

absl::StatusOr<ForwardStreamResult> Client::ForwardStream(
    const std::string& name, const InputStream& input, const OutputStream& output,
    const ForwardStreamOptions& options) const {
  return connection_->ForwardStream(name, input, output, options);
}

void Client::ForwardAsync(const std::string& name, const Tensor& input,
                          const ForwardOptions& options, ForwardCallback done) const {
  connection_->ForwardAsync(name, input, options, std::move(done));
}

std::future<absl::StatusOr<ForwardResult>> Client::ForwardAsync(
    const std::string& name, const Tensor& input, const ForwardOptions& options) const {
  // Shared, because std::function asks for a copyable callback.
  auto promise = std::make_shared<std::promise<absl::StatusOr<ForwardResult>>>();
  auto future = promise->get_future();
  ForwardAsync(name, input, options, [promise](absl::StatusOr<ForwardResult> result) {
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
  return AllPages(&v1::ListResponse::mutable_layers, [&](const std::string& page_token) {
    return List(kLargestPage, page_token, options);
  });
}

absl::Status Client::Delete(const std::string& name, const CallOptions& options) const {
  v1::DeleteRequest request;
  request.set_name(name);
  return connection_->Delete(request, options).status();
}

absl::StatusOr<BackwardResult> Client::Backward(const std::string& name, const Tensor& input,
                                                const Tensor& upstream,
                                                const BackwardOptions& options) const {
  return connection_->Backward(name, input, upstream, options);
}

absl::StatusOr<StepResult> Client::ApplyGradients(const std::string& name, const Weights& gradients,
                                                  const StepOptions& options) const {
  return connection_->ApplyGradients(name, gradients, Named(options));
}

absl::StatusOr<TrainStepResult> Client::TrainStep(const std::string& name, const Tensor& input,
                                                  const TrainSignal& signal,
                                                  const TrainStepOptions& options) const {
  return connection_->TrainStep(name, input, signal, Named(options));
}

absl::StatusOr<v1::Layer> Client::SetTrainable(const std::string& name, bool trainable,
                                               const CallOptions& options) const {
  v1::SetTrainableRequest request;
  request.set_name(name);
  request.set_trainable(trainable);
  auto response = connection_->SetTrainable(request, options);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_layer());
}

absl::StatusOr<v1::Layer> Client::SetOptimizer(const std::string& name,
                                               const NewOptimizer& optimizer,
                                               const CallOptions& options) const {
  return connection_->SetOptimizer(name, optimizer, options);
}

absl::StatusOr<OptimizerStatus> Client::GetOptimizer(const std::string& name,
                                                     const CallOptions& options) const {
  return connection_->GetOptimizer(name, options);
}

absl::StatusOr<v1::Chain> Client::CreateChain(const std::string& name,
                                              const std::vector<ChainStep>& steps,
                                              const CallOptions& options) const {
  v1::CreateChainRequest request;
  request.set_name(name);
  for (const ChainStep& step : steps) SetStep(step, *request.add_steps());
  auto response = connection_->CreateChain(request, options);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_chain());
}

absl::StatusOr<v1::Chain> Client::GetChain(const std::string& name,
                                           const CallOptions& options) const {
  v1::GetChainRequest request;
  request.set_name(name);
  auto response = connection_->GetChain(request, options);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_chain());
}

absl::StatusOr<v1::ListChainsResponse> Client::ListChains(int32_t page_size,
                                                          const std::string& page_token,
                                                          const CallOptions& options) const {
  v1::ListChainsRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  return connection_->ListChains(request, options);
}

absl::StatusOr<std::vector<v1::Chain>> Client::ListAllChains(const CallOptions& options) const {
  return AllPages(&v1::ListChainsResponse::mutable_chains, [&](const std::string& page_token) {
    return ListChains(kLargestPage, page_token, options);
  });
}

absl::Status Client::DeleteChain(const std::string& name, const CallOptions& options) const {
  v1::DeleteChainRequest request;
  request.set_name(name);
  return connection_->DeleteChain(request, options).status();
}

absl::StatusOr<std::string> Client::GetLogLevel(const CallOptions& options) const {
  const auto response = connection_->GetLogLevel({}, options);
  if (!response.ok()) return response.status();
  return response->level();
}

absl::StatusOr<std::string> Client::SetLogLevel(const std::string& level,
                                                const CallOptions& options) const {
  v1::SetLogLevelRequest request;
  request.set_level(level);
  const auto response = connection_->SetLogLevel(request, options);
  if (!response.ok()) return response.status();
  return response->previous_level();
}

absl::Status Client::CheckHealth(const std::string& service, const CallOptions& options) const {
  return connection_->CheckHealth(service, options);
}

}  // namespace tconv
