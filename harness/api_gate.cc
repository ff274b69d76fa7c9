#include "harness/api_gate.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/faulty_responder.h"

namespace midwatch::harness {
namespace {

constexpr char kStatsPath[] = "/harness/stats";
constexpr char kJsonType[] = "application/json";
// Of an injected 429.
constexpr char kFaultRetryAfterSeconds[] = "1";

// Empty where the file is gone or empty: then nobody's key is right.
std::string KeyIn(const std::string& path) {
  std::ifstream file(path);
  std::string key;
  std::getline(file, key);
  return std::string(absl::StripAsciiWhitespace(key));
}

}  // namespace

ApiGate::ApiGate(std::shared_ptr<Core> core, const Clock& clock)
    : core_(std::move(core)),
      clock_(clock),
      limiter_(core_->options.rate_limits),
      requests_(static_cast<uint64_t>(core_->db->start()) << 32) {}

absl::Status ApiGate::CheckCaller(const ServerRequest& request) const {
  const HarnessOptions& options = core_->options;
  if (options.api_key.empty() && options.api_key_file.empty()) {
    return absl::OkStatus();
  }
  absl::string_view given = HeaderValue(request.headers, "x-api-key");
  if (given.empty()) {
    given = HeaderValue(request.headers, "authorization");
    if (!absl::ConsumePrefix(&given, "Bearer ")) given = {};
  }
  const std::string key = options.api_key_file.empty()
                              ? options.api_key
                              : KeyIn(options.api_key_file);
  // Hashes are compared, so that the time taken says nothing about the key.
  if (key.empty() || Sha256Hex(given) != Sha256Hex(key)) {
    return absl::UnauthenticatedError(
        "x-api-key, or authorization: Bearer, must hold this server's key");
  }
  return absl::OkStatus();
}

absl::Status ApiGate::CheckRate(RequestClass request_class,
                                HttpHeaders& headers) {
  std::optional<RateLimiter::Room> room =
      limiter_.Take(request_class, clock_.Steady());
  if (!room) return absl::OkStatus();
  constexpr absl::string_view kPrefix = "anthropic-ratelimit-requests-";
  headers.emplace_back(absl::StrCat(kPrefix, "limit"),
                       absl::StrCat(room->per_minute));
  headers.emplace_back(absl::StrCat(kPrefix, "remaining"),
                       absl::StrCat(room->left));
  headers.emplace_back(
      absl::StrCat(kPrefix, "reset"),
      FormatMicros(absl::ToUnixMicros(clock_.Now() + room->full_in)));
  if (room->wait == absl::ZeroDuration()) return absl::OkStatus();
  ++over_limit_[request_class];
  LogInfo("over the limit", {{"class", NameOf(request_class)}});
  const int64_t seconds =
      absl::ToInt64Seconds(absl::Ceil(room->wait, absl::Seconds(1)));
  headers.emplace_back("retry-after", absl::StrCat(seconds));
  return absl::ResourceExhaustedError(
      absl::StrCat("over the limit of ", room->per_minute, " ",
                   NameOf(request_class), " requests a minute"));
}

absl::Status ApiGate::CheckSpendCap(const std::string& route) {
  if (route != "POST /v1/sessions" && route != "POST /v1/sessions/{}/events") {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(bool reached, core_->AtSpendCap());
  return reached ? SpendLimitReached() : absl::OkStatus();
}

absl::Status ApiGate::FailInstead(Fault fault, const std::string& path,
                                  HttpHeaders& headers) {
  core_->fault_counts.Add(fault, path);
  switch (fault) {
    case Fault::kLimited:
      headers.emplace_back("retry-after", kFaultRetryAfterSeconds);
      return absl::ResourceExhaustedError("limited by intent");
    case Fault::kLimitedBare:
      return absl::ResourceExhaustedError("limited by intent, for good");
    case Fault::kOverloaded:
      return absl::UnavailableError("overloaded by intent");
    default:
      return absl::InternalError("broken by intent");
  }
}

absl::Status ApiGate::Admit(const ServerRequest& request, Admitted& admitted) {
  const char* pattern = Api::PatternOf(request);
  if (pattern == nullptr) return absl::OkStatus();  // the API says so
  const std::string route = absl::StrCat(request.method, " ", pattern);
  const RequestClass request_class = ClassOf(request.method, pattern);
  ++counts_[request_class][route];
  admitted.number = requests_++;
  RETURN_IF_ERROR(CheckRate(request_class, admitted.headers));
  RETURN_IF_ERROR(CheckSpendCap(route));
  admitted.faults = FaultsOf(core_->options.faults, admitted.number,
                             route == "GET /v1/sessions/{}/events/stream");
  if (!admitted.faults.instead) return absl::OkStatus();
  return FailInstead(*admitted.faults.instead, request.path, admitted.headers);
}

Json ApiGate::Stats() const {
  Json requests = Json::object();
  Json over_limit = Json::object();
  for (RequestClass each : kRequestClasses) {
    auto counts = counts_.find(each);
    requests[NameOf(each)] =
        counts == counts_.end() ? Json::object() : Json(counts->second);
    auto over = over_limit_.find(each);
    over_limit[NameOf(each)] = over == over_limit_.end() ? 0 : over->second;
  }
  Json faults = Json::object();
  for (size_t i = 0; i < kFaultCount; ++i) {
    const Fault fault = static_cast<Fault>(i);
    faults[NameOf(fault)] = core_->fault_counts.Of(fault);
  }
  return {{"requests", std::move(requests)},
          {"over_limit", std::move(over_limit)},
          {"faults", std::move(faults)}};
}

Async<void> ApiGate::Handle(std::shared_ptr<ApiGate> gate,
                            ServerRequest request, ServerResponder& reply) {
  const std::shared_ptr<Core> core = gate->core_;
  Admitted admitted;
  absl::Status status = gate->CheckCaller(request);
  if (status.ok() && request.method == "GET" && request.path == kStatsPath) {
    HttpHeaders headers = {{"content-type", kJsonType}};
    std::string stats = Dump(gate->Stats());
    (void)co_await reply.Send(200, std::move(headers), std::move(stats));
    co_return;
  }
  if (status.ok()) status = gate->Admit(request, admitted);
  if (!status.ok()) {
    const std::string request_id = core->db->NewId("req_");
    HttpHeaders headers = AnswerHeaders(request_id, kJsonType);
    headers.insert(headers.end(), admitted.headers.begin(),
                   admitted.headers.end());
    std::string body = ErrorEnvelope(status, request_id);
    (void)co_await reply.Send(HttpStatusOf(status), std::move(headers),
                              std::move(body));
    co_return;
  }
  FaultyResponder responder(core, gate->clock_, reply, request.path,
                            admitted.number, admitted.faults,
                            std::move(admitted.headers));
  co_await Api::Handle(core, std::move(request), responder);
}

}  // namespace midwatch::harness
