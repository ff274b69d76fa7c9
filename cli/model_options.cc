#include "cli/model_options.h"

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "cli/api_key.h"

namespace midwatch::cli {
namespace {

constexpr char kUrlVariable[] = "ANTHROPIC_BASE_URL";
constexpr char kKeyVariable[] = "ANTHROPIC_API_KEY";
constexpr char kHostedUrl[] = "https://api.anthropic.com";

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

absl::StatusOr<MessagesOptions> ReadModelOptions(const ModelOptions& options) {
  MessagesOptions messages;
  if (options.max_tokens > 0) messages.max_tokens = options.max_tokens;
  std::string url = options.url;
  if (url.empty() && IsSet(kUrlVariable)) url = std::getenv(kUrlVariable);
  if (!options.key_file.empty() || IsSet(kKeyVariable)) {
    ASSIGN_OR_RETURN(messages.api_key,
                     ReadApiKey(options.key_file, kKeyVariable));
    if (url.empty()) url = kHostedUrl;
  }
  if (!url.empty() && !absl::StartsWith(url, "http://") &&
      !absl::StartsWith(url, "https://")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the address of the models must begin with http:// or https://: ",
        url));
  }
  messages.base_url = std::string(absl::StripSuffix(url, "/"));
  return messages;
}

}  // namespace midwatch::cli
