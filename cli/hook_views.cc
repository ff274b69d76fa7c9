#include "cli/hook_views.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "cli/utf8.h"
#include "scheduler/to_proto.h"

namespace midwatch::cli {
namespace {

const char* EventName(v1::HookEvent event) {
  return event == v1::HOOK_EVENT_FINISH    ? "on_finish"
         : event == v1::HOOK_EVENT_FAILURE ? "on_failure"
                                           : "on_risk";
}

std::string StateName(v1::HookState state) {
  return absl::AsciiStrToLower(
      absl::StripPrefix(v1::HookState_Name(state), "HOOK_STATE_"));
}

// "" where nothing went wrong yet.
std::string TroubleOf(const v1::HookDelivery& hook) {
  if (hook.trouble().empty()) return "";
  return absl::StrCat(" (try ", hook.tries(), ": ", Printable(hook.trouble()),
                      ")");
}

std::string StateWords(const v1::HookDelivery& hook) {
  switch (hook.state()) {
    case v1::HOOK_STATE_ARMED:
      return "has not happened";
    case v1::HOOK_STATE_DUE:
      return absl::StrCat(
          "not delivered yet, tried again after ",
          absl::FormatTime("%H:%M:%S", FromTimestamp(hook.next_try_at()),
                           absl::LocalTimeZone()),
          TroubleOf(hook));
    case v1::HOOK_STATE_GIVEN_UP:
      return absl::StrCat("given up", TroubleOf(hook));
    default:
      return StateName(hook.state());
  }
}

}  // namespace

std::string HookLine(const v1::HookDelivery& hook) {
  return absl::StrCat(EventName(hook.event()), " to ", Printable(hook.url()),
                      ": ", StateWords(hook));
}

std::string DueHookLine(const v1::Batch& batch) {
  for (const v1::HookDelivery& hook : batch.hooks()) {
    if (hook.state() == v1::HOOK_STATE_DUE) return HookLine(hook);
  }
  return "";
}

std::string RiskLine(const v1::Batch& batch) {
  return Printable(batch.risk().reason());
}

nlohmann::ordered_json RiskToJson(const v1::Batch& batch) {
  if (!batch.has_risk()) return nullptr;
  const v1::Risk& risk = batch.risk();
  nlohmann::ordered_json json = {{"over_budget", risk.over_budget()},
                                 {"over_deadline", risk.over_deadline()}};
  if (risk.over_budget()) {
    json["projected_usd_micros"] = risk.projected_usd_micros();
  }
  const auto set = [&](const char* key, bool has,
                       const google::protobuf::Timestamp& time) {
    if (!has) return;
    json[key] = absl::FormatTime(absl::RFC3339_sec, FromTimestamp(time),
                                 absl::UTCTimeZone());
  };
  set("deadline", risk.has_deadline(), risk.deadline());
  set("projected_end", risk.has_projected_end(), risk.projected_end());
  json["reason"] = risk.reason();
  return json;
}

nlohmann::ordered_json HooksToJson(const v1::Batch& batch) {
  nlohmann::ordered_json hooks = nlohmann::ordered_json::array();
  for (const v1::HookDelivery& hook : batch.hooks()) {
    hooks.push_back({{"event", EventName(hook.event())},
                     {"url", hook.url()},
                     {"state", StateName(hook.state())},
                     {"webhook_id", hook.message_id()},
                     {"tries", hook.tries()},
                     {"trouble", hook.trouble()}});
  }
  return hooks;
}

}  // namespace midwatch::cli
