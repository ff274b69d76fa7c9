#include "cli/json_views.h"

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/control_views.h"
#include "cli/counts.h"
#include "cli/hook_views.h"
#include "cli/rule_views.h"
#include "cli/state_names.h"
#include "cli/task_views.h"
#include "cli/times.h"

namespace midwatch::cli {
namespace {

double ToUsd(int64_t usd_micros) {
  return static_cast<double>(usd_micros) / 1e6;
}

Json FailureClassToJson(v1::FailureClass failure_class) {
  if (failure_class == v1::FAILURE_CLASS_UNSPECIFIED) return nullptr;
  return NameOf(failure_class);
}

Json QuestionsToJson(const v1::Task& task) {
  Json questions = Json::array();
  for (const v1::Question& question : task.questions()) {
    Json& out =
        questions.emplace_back(Json{{"question_id", question.question_id()},
                                    {"tool", question.tool()},
                                    {"input_json", question.input_json()},
                                    {"wants_result", question.wants_result()}});
    if (question.has_spent_usd_micros()) {
      out["spent_usd_micros"] = question.spent_usd_micros();
    }
  }
  return questions;
}

Json AttemptToJson(const v1::Attempt& attempt) {
  return {{"number", attempt.number()},
          {"session_id", attempt.session_id()},
          {"granted_at", InstantToJson(attempt.granted_at())},
          {"ended_at", InstantToJson(attempt.ended_at())},
          {"reserved_usd_micros", attempt.reserved_usd_micros()},
          {"charged_usd_micros", attempt.charged_usd_micros()},
          {"failure_class", FailureClassToJson(attempt.failure_class())},
          {"ending", attempt.ending()},
          {"cost_unknown", attempt.cost_unknown()}};
}

Json ForecastToJson(const v1::Forecast& forecast) {
  if (forecast.samples() == 0) return nullptr;
  return {{"samples", forecast.samples()},
          {"cost_p50_usd_micros", forecast.cost_p50_usd_micros()},
          {"cost_p90_usd_micros", forecast.cost_p90_usd_micros()},
          {"time_p50_seconds",
           absl::ToDoubleSeconds(ToDuration(forecast.time_p50()))},
          {"time_p90_seconds",
           absl::ToDoubleSeconds(ToDuration(forecast.time_p90()))}};
}

Json RatesToJson(const v1::Account& account) {
  Json rates = Json::array();
  for (const v1::RequestRate& rate : account.rates()) {
    rates.push_back({{"class", NameOf(rate.request_class())},
                     {"limit_per_minute", rate.limit_per_minute()},
                     {"allowed_per_minute", rate.allowed_per_minute()},
                     {"accepted_last_minute", rate.accepted()},
                     {"refused", rate.refused()},
                     {"resting_until", InstantToJson(rate.resting_until())}});
  }
  return rates;
}

}  // namespace

Json InstantToJson(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0 && timestamp.nanos() == 0) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", ToTime(timestamp),
                          absl::UTCTimeZone());
}

Json ToJson(const v1::Task& task) {
  Json outputs = Json::array();
  for (const v1::Output& output : task.outputs()) {
    outputs.push_back({{"path", output.path()},
                       {"sha256", output.sha256()},
                       {"size_bytes", output.size_bytes()}});
  }
  Json attempts = Json::array();
  for (const v1::Attempt& attempt : task.attempt_list()) {
    attempts.push_back(AttemptToJson(attempt));
  }
  const std::map<std::string, std::string> labels(task.labels().begin(),
                                                  task.labels().end());
  return {
      {"task_id", task.task_id()},
      {"batch_id", task.batch_id()},
      {"name", task.name()},
      {"queue", task.queue()},
      {"labels", labels},
      {"state", NameOf(task.state())},
      {"result", ResultLine(task)},
      {"reason", task.reason()},
      {"failure_class", FailureClassToJson(task.failure_class())},
      {"attempts", task.attempts()},
      {"failures", task.failures()},
      {"cost_usd", ToUsd(task.charged_usd_micros())},
      {"charged_usd_micros", task.charged_usd_micros()},
      {"reserved_usd_micros", task.reserved_usd_micros()},
      {"estimated_cost_usd_micros", task.has_estimated_cost_usd_micros()
                                        ? Json(task.estimated_cost_usd_micros())
                                        : Json(nullptr)},
      {"forecast", ForecastToJson(task.forecast())},
      {"max_cost_usd_micros", task.max_cost_usd_micros()},
      {"priority", task.priority()},
      {"not_before", InstantToJson(task.not_before())},
      {"expires_at", InstantToJson(task.expires_at())},
      {"deadline", InstantToJson(task.deadline())},
      {"unique_key", task.unique_key()},
      {"duration_seconds", absl::ToDoubleSeconds(ToDuration(task.run_time()))},
      {"submitted_at", InstantToJson(task.submitted_at())},
      {"ended_at", InstantToJson(task.ended_at())},
      {"waits_for", std::vector<std::string>(task.waits_for().begin(),
                                             task.waits_for().end())},
      {"waits_for_others", task.waits_for_others()},
      {"questions", QuestionsToJson(task)},
      {"answer_by", InstantToJson(task.answer_by())},
      {"session_id", task.session_id()},
      {"retry_of", task.retry_of()},
      {"finished_anyway", task.finished_anyway()},
      {"final_message", task.final_message()},
      {"final_message_sha256", task.final_message_sha256()},
      {"outputs", outputs},
      {"attempt_list", attempts}};
}

Json ToJson(const v1::ExplainTaskResponse& why) {
  return {{"task_id", why.task_id()},
          {"state", NameOf(why.state())},
          {"reason", NameOf(why.reason())},
          {"sentence", why.sentence()},
          {"until", InstantToJson(why.until())},
          {"predicted_start", InstantToJson(why.predicted_start())},
          {"prediction", why.prediction()},
          {"tasks_before", why.tasks_before()},
          {"more_before", why.more_before()}};
}

Json ToJson(const v1::Account& account) {
  return {{"name", account.name()},
          {"state", NameOf(account.state())},
          {"reason", account.reason()},
          {"since", InstantToJson(account.since())},
          {"until", InstantToJson(account.until())},
          {"next_probe", InstantToJson(account.next_probe())},
          {"max_running", account.max_running()},
          {"running", account.running()},
          {"limit_group", account.limit_group()},
          {"rates", RatesToJson(account)}};
}

Json ToJson(const v1::Batch& batch) {
  const v1::TaskCounts& counts = batch.counts();
  return {
      {"batch_id", batch.batch_id()},
      {"name", batch.name()},
      {"state", NameOf(batch.state())},
      {"tenant", batch.tenant()},
      {"queue", batch.queue()},
      {"account", batch.account()},
      {"submitted_at", InstantToJson(batch.submitted_at())},
      {"ended_at", InstantToJson(batch.ended_at())},
      {"deadline", InstantToJson(batch.deadline())},
      {"counts",
       {{"total", TotalOf(counts)},
        {"blocked", counts.blocked()},
        {"queued", counts.queued()},
        {"running", counts.running()},
        {"waiting", counts.waiting()},
        {"cancelling", counts.cancelling()},
        {"succeeded", counts.succeeded()},
        {"failed", counts.failed()},
        {"cancelled", counts.cancelled()},
        {"skipped", counts.skipped()}}},
      {"cost_usd", ToUsd(batch.charged_usd_micros())},
      {"charged_usd_micros", batch.charged_usd_micros()},
      {"reserved_usd_micros", batch.reserved_usd_micros()},
      {"estimated_cost_usd_micros", batch.estimated_cost_usd_micros()},
      {"forecast", ForecastToJson(batch.forecast())},
      {"calibration",
       {{"foretold", batch.calibration().foretold()},
        {"cost_within_p50", batch.calibration().cost_within_p50()},
        {"cost_within_p90", batch.calibration().cost_within_p90()},
        {"time_within_p50", batch.calibration().time_within_p50()},
        {"time_within_p90", batch.calibration().time_within_p90()}}},
      {"overshoot_usd_micros", batch.overshoot_usd_micros()},
      {"budget_usd_micros", batch.has_budget_usd_micros()
                                ? Json(batch.budget_usd_micros())
                                : Json(nullptr)},
      {"waits_for_budget", batch.waits_for_budget()},
      {"account_trouble", batch.has_account_trouble()
                              ? ToJson(batch.account_trouble())
                              : Json(nullptr)},
      {"pause", batch.has_pause() ? ToJson(batch.pause()) : Json(nullptr)},
      {"queue_pause",
       batch.has_queue_pause() ? ToJson(batch.queue_pause()) : Json(nullptr)},
      {"full_cap", batch.full_cap() != v1::CAP_SCOPE_UNSPECIFIED
                       ? Json(NameOf(batch.full_cap()))
                       : Json(nullptr)},
      {"canary", batch.has_canary() ? ToJson(batch.canary()) : Json(nullptr)},
      {"stop_when", batch.has_stop() ? ToJson(batch.stop()) : Json(nullptr)},
      {"hooks", HooksToJson(batch)},
      {"risk", RiskToJson(batch)},
      {"max_running", batch.max_running()},
      {"content_sha256", batch.content_sha256()}};
}

std::string ToLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string EventLine(const std::string& json) {
  if (json.find('\n') == std::string::npos) return json;
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? ToLine(Json(json)) : ToLine(parsed);
}

}  // namespace midwatch::cli
