#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "worker/tool_handler.h"

namespace midwatch {
namespace {

class HttpToolHandler final : public ToolHandler {
 public:
  HttpToolHandler(HttpTransport& transport, std::string url, ToolLimits limits)
      : transport_(transport), url_(std::move(url)), limits_(limits) {}

  Async<ToolOutcome> Call(ToolCall call) override {
    nlohmann::json body = {
        {"tool", call.tool},
        {"call_id", call.call_id},
        {"task_id", call.task_id},
        {"input", nlohmann::json::parse(call.input_json, nullptr, false)}};
    HttpRequest request;
    request.method = "POST";
    request.url = url_;
    request.headers = {{"content-type", "application/json"}};
    request.body.push_back(
        {body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
         ""});
    request.timeout = limits_.timeout;
    absl::StatusOr<HttpResponse> response =
        co_await transport_.Fetch(std::move(request));
    if (!response.ok()) {
      co_return ToolOutcome{
          absl::StrCat("the tool's handler cannot be reached: ",
                       response.status().message()),
          true};
    }
    if (response->body.size() > limits_.answer_bytes_max) {
      co_return ToolOutcome{
          absl::StrCat("the tool's handler answered ", response->body.size(),
                       " bytes; at most ", limits_.answer_bytes_max,
                       " are taken"),
          true};
    }
    if (response->status < 200 || response->status > 299) {
      co_return ToolOutcome{
          absl::StrCat("the tool's handler answered status ", response->status,
                       "\n", response->body),
          true};
    }
    co_return ToolOutcome{std::move(response->body), false};
  }

 private:
  HttpTransport& transport_;
  const std::string url_;
  const ToolLimits limits_;
};

}  // namespace

std::unique_ptr<ToolHandler> MakeHttpToolHandler(HttpTransport& transport,
                                                 std::string url,
                                                 ToolLimits limits) {
  return std::make_unique<HttpToolHandler>(transport, std::move(url), limits);
}

}  // namespace midwatch
