#include "server/app/status_pages.h"

#include <charconv>
#include <string>
#include <string_view>

#include "server/app/status_report.h"

namespace tconv::server {

// The files in status/, which the build compiles in.
extern const std::string_view kStatusPageHtml;
extern const std::string_view kStatusPageCss;
extern const std::string_view kStatusPageJs;

namespace {

constexpr size_t kMostLayers = 200;

HttpPage File(const std::string& path, const std::string& type, std::string_view content) {
  return {path, type + "; charset=utf-8",
          [content](const HttpQuery&) -> StatusOr<std::string> { return std::string(content); }};
}

StatusOr<StatusSelection> SelectionOf(const HttpQuery& query) {
  StatusSelection selection = {.part = query.Value("find"),
                               .after = query.Value("after"),
                               .chains_after = query.Value("chains_after")};
  const std::string limit = query.Value("limit");
  if (limit.empty()) return selection;
  const auto [end, error] =
      std::from_chars(limit.data(), limit.data() + limit.size(), selection.limit);
  if (error != std::errc() || end != limit.data() + limit.size() || selection.limit == 0 ||
      selection.limit > kMostLayers) {
    return InvalidField("limit", "expected a number from 1 to {}, got \"{}\"", kMostLayers, limit);
  }
  return selection;
}

}  // namespace

std::vector<HttpPage> StatusPages(LayerHost& host, const Metrics& metrics) {
  return {{"/metrics", "text/plain; version=0.0.4; charset=utf-8",
           [&metrics](const HttpQuery&) -> StatusOr<std::string> { return metrics.Text(); }},
          {"/status.json", "application/json",
           [&host, &metrics](const HttpQuery& query) -> StatusOr<std::string> {
             TCONV_ASSIGN_OR_RETURN(const StatusSelection selection, SelectionOf(query));
             return StatusReport(host, metrics, selection);
           }},
          File("/", "text/html", kStatusPageHtml),
          File("/status.css", "text/css", kStatusPageCss),
          File("/status.js", "text/javascript", kStatusPageJs)};
}

}  // namespace tconv::server
