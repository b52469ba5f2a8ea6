// Exits with 0 when the installed client links, and reports that no server is
// behind a socket that does not exist.
#include <tconv/client.h>

#include <iostream>

int main() {
  const tconv::Client client("unix:/nonexistent/tconv.socket");
  const auto input = tconv::Tensor::FromValues<float>({1, 1, 1}, {1});
  const auto result = client.Forward("layer", *input);
  std::cout << result.status() << '\n';
  return absl::IsUnavailable(result.status()) ? 0 : 1;
}
