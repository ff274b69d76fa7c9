#include "scheduler/hook_message.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/hmac.h"
#include "scheduler/to_proto.h"

namespace midwatch {
namespace {

using HookJson = nlohmann::ordered_json;

constexpr size_t kSecretBytesMin = 24;
constexpr size_t kSecretBytesMax = 64;

std::string Rfc3339(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", FromTimestamp(time),
                          absl::UTCTimeZone());
}

// "FINISH" of HOOK_EVENT_FINISH.
std::string Word(absl::string_view name, absl::string_view prefix) {
  return std::string(absl::StripPrefix(name, prefix));
}

HookJson CountsOf(const v1::TaskCounts& counts) {
  return {
      {"blocked", counts.blocked()},       {"queued", counts.queued()},
      {"running", counts.running()},       {"waiting", counts.waiting()},
      {"cancelling", counts.cancelling()}, {"succeeded", counts.succeeded()},
      {"failed", counts.failed()},         {"cancelled", counts.cancelled()},
      {"skipped", counts.skipped()}};
}

HookJson TaskOf(const v1::TaskChange& task) {
  return {{"task_id", task.task_id()},
          {"name", task.name()},
          {"attempt", task.attempt()},
          {"failure_class",
           Word(v1::FailureClass_Name(task.failure_class()), "FAILURE_CLASS_")},
          {"reason", task.reason()},
          {"charged_usd_micros", task.charged_usd_micros()}};
}

HookJson RiskOf(const v1::Risk& risk) {
  HookJson out = {{"over_budget", risk.over_budget()},
                  {"over_deadline", risk.over_deadline()}};
  if (risk.over_budget()) {
    out["budget_usd_micros"] = risk.budget_usd_micros();
    out["projected_usd_micros"] = risk.projected_usd_micros();
  }
  if (risk.has_deadline()) out["deadline"] = Rfc3339(risk.deadline());
  if (risk.has_projected_end()) {
    out["projected_end"] = Rfc3339(risk.projected_end());
  }
  out["tasks_ended"] = risk.ended();
  out["tasks_left"] = risk.left();
  out["reason"] = risk.reason();
  return out;
}

const char* TypeOf(v1::HookEvent event) {
  switch (event) {
    case v1::HOOK_EVENT_FINISH:
      return "batch.finished";
    case v1::HOOK_EVENT_RISK:
      return "batch.at_risk";
    default:
      return "batch.task_failed";
  }
}

}  // namespace

absl::StatusOr<std::string> ParseHookSecret(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  std::string key;
  if (absl::Base64Unescape(absl::StripPrefix(text, "whsec_"), &key) &&
      key.size() >= kSecretBytesMin && key.size() <= kSecretBytesMax) {
    return key;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "not a webhook's secret; expected whsec_ and ", kSecretBytesMin, " to ",
      kSecretBytesMax,
      " random bytes in base64, such as `echo whsec_$(openssl rand -base64 "
      "32)` makes"));
}

std::string SignHook(absl::string_view key, absl::string_view message_id,
                     int64_t unix_seconds, absl::string_view body) {
  return absl::StrCat(
      "v1,", absl::Base64Escape(HmacSha256(
                 key, absl::StrCat(message_id, ".", unix_seconds, ".", body))));
}

std::string HookMessageId(absl::string_view batch_id, v1::HookEvent event) {
  // No dot: the signed text is parted by them.
  return absl::StrCat(
      "msg_", batch_id, "_",
      absl::AsciiStrToLower(Word(v1::HookEvent_Name(event), "HOOK_EVENT_")));
}

std::string HookBody(const v1::HookNews& news) {
  const v1::Batch& batch = news.batch();
  HookJson data = {
      {"batch_id", batch.batch_id()},
      {"name", batch.name()},
      {"tenant", batch.tenant()},
      {"queue", batch.queue()},
      {"account", batch.account()},
      {"state", Word(v1::BatchState_Name(batch.state()), "BATCH_STATE_")},
      {"counts", CountsOf(batch.counts())},
      {"charged_usd_micros", batch.charged_usd_micros()},
      {"submitted_at", Rfc3339(batch.submitted_at())}};
  if (batch.has_ended_at()) data["ended_at"] = Rfc3339(batch.ended_at());
  if (news.has_task()) data["task"] = TaskOf(news.task());
  if (news.has_risk()) data["risk"] = RiskOf(news.risk());
  const HookJson body = {{"type", TypeOf(news.event())},
                         {"timestamp", Rfc3339(news.at())},
                         {"data", std::move(data)}};
  return body.dump(-1, ' ', false, HookJson::error_handler_t::replace);
}

}  // namespace midwatch
