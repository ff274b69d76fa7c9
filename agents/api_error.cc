#include "agents/api_error.h"

#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace midwatch {
namespace {

using nlohmann::json;

constexpr char kApiErrorUrl[] = "midwatch/api-error";
constexpr size_t kMessageBytesMax = 2000;

absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 402:
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
    case 429:
      return absl::StatusCode::kUnavailable;
    case 409:
    case 412:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return http_status >= 400 && http_status < 500
                 ? absl::StatusCode::kInvalidArgument
                 : absl::StatusCode::kUnavailable;
  }
}

std::string Describe(const ApiError& error) {
  std::string text = absl::StrCat(error.operation, ": ");
  if (error.http_status == 0) {
    absl::StrAppend(&text, "no answer");
  } else {
    absl::StrAppend(&text, "status ", error.http_status);
  }
  if (!error.type.empty()) absl::StrAppend(&text, " ", error.type);
  if (!error.error_code.empty()) absl::StrAppend(&text, "/", error.error_code);
  if (!error.message.empty()) absl::StrAppend(&text, ": ", error.message);
  if (!error.request_id.empty()) {
    absl::StrAppend(&text, " (request ", error.request_id, ")");
  }
  return text;
}

// Payloads are bytes, so the facts travel as JSON.
std::string Encode(const ApiError& error) {
  json out = {{"operation", error.operation},
              {"http_status", error.http_status},
              {"type", error.type},
              {"error_code", error.error_code},
              {"message", error.message},
              {"request_id", error.request_id},
              {"maybe_executed", error.maybe_executed}};
  if (error.retry_after) {
    out["retry_after_ns"] = absl::ToInt64Nanoseconds(*error.retry_after);
  }
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

absl::Status ToStatus(const ApiError& error) {
  ApiError cut = error;
  cut.message = std::string(CutUtf8(error.message, kMessageBytesMax));
  absl::Status status(CodeOf(cut.http_status), Describe(cut));
  status.SetPayload(kApiErrorUrl, absl::Cord(Encode(cut)));
  return status;
}

std::optional<ApiError> GetApiError(const absl::Status& status) {
  absl::optional<absl::Cord> payload = status.GetPayload(kApiErrorUrl);
  if (!payload.has_value()) return std::nullopt;
  // Only Encode writes it, so its fields are there and of these types.
  json in = json::parse(std::string(*payload), nullptr, false);
  if (!in.is_object()) return std::nullopt;
  ApiError error;
  error.operation = in.value("operation", "");
  error.http_status = in.value("http_status", 0);
  error.type = in.value("type", "");
  error.error_code = in.value("error_code", "");
  error.message = in.value("message", "");
  error.request_id = in.value("request_id", "");
  error.maybe_executed = in.value("maybe_executed", true);
  if (in.contains("retry_after_ns")) {
    error.retry_after = absl::Nanoseconds(in["retry_after_ns"].get<int64_t>());
  }
  return error;
}

}  // namespace midwatch
