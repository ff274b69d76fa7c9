#include "net/http.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"

namespace midwatch {
namespace {
constexpr char kExecutedUrl[] = "midwatch/http-executed";
constexpr char kUnresolvedUrl[] = "midwatch/http-unresolved";
}  // namespace

absl::string_view HeaderValue(const HttpHeaders& headers,
                              absl::string_view name) {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, name)) return value;
  }
  return {};
}

void SetHttpExecuted(absl::Status& status, HttpExecuted executed) {
  if (status.ok()) return;
  status.SetPayload(
      kExecutedUrl,
      absl::Cord(executed == HttpExecuted::kNo ? "no" : "unknown"));
}

HttpExecuted GetHttpExecuted(const absl::Status& status) {
  absl::optional<absl::Cord> payload = status.GetPayload(kExecutedUrl);
  return payload.has_value() && *payload == "no" ? HttpExecuted::kNo
                                                 : HttpExecuted::kUnknown;
}

void SetHttpUnresolved(absl::Status& status) {
  if (!status.ok()) status.SetPayload(kUnresolvedUrl, absl::Cord("yes"));
}

bool IsHttpUnresolved(const absl::Status& status) {
  return status.GetPayload(kUnresolvedUrl).has_value();
}

std::string PercentEncode(absl::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                 (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                 c == '~';
    if (plain) {
      out.push_back(static_cast<char>(c));
    } else {
      out.push_back('%');
      out.push_back(kDigits[c >> 4]);
      out.push_back(kDigits[c & 15]);
    }
  }
  return out;
}

}  // namespace midwatch
