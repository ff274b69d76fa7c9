#include "cli/views.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "cli/batch_states.h"
#include "cli/control_views.h"
#include "cli/hook_views.h"
#include "cli/money.h"
#include "cli/rule_views.h"
#include "cli/shell_words.h"
#include "cli/table.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

// TASK_STATE_SUCCEEDED -> "succeeded".
std::string EnumName(absl::string_view name, absl::string_view prefix) {
  absl::ConsumePrefix(&name, prefix);
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

double ToUsd(int64_t usd_micros) {
  return static_cast<double>(usd_micros) / 1e6;
}

// The tasks that it needs and that are not done.
std::string WaitsFor(const v1::Task& task) {
  std::vector<std::string> names;
  for (const std::string& name : task.waits_for()) {
    names.push_back(OneLine(name));
  }
  return absl::StrCat(absl::StrJoin(names, ", "),
                      task.waits_for_others() ? " and others" : "");
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

// "$0.02, 12.1 s", then `each`, "; 9 in 10 within $0.05, 40 s (of 256)".
std::string ForecastWords(const v1::Forecast& forecast,
                          absl::string_view each) {
  return absl::StrCat(FormatUsd(forecast.cost_p50_usd_micros()), ", ",
                      FormatSpan(ToDuration(forecast.time_p50())), each,
                      "; 9 in 10 within ",
                      FormatUsd(forecast.cost_p90_usd_micros()), ", ",
                      FormatSpan(ToDuration(forecast.time_p90())), " (of ",
                      forecast.samples(), ")");
}

std::string FirstLine(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  return Printable(text.substr(0, text.find_first_of("\r\n")));
}

std::string OrDash(const std::string& text) {
  return text.empty() ? "-" : Printable(text);
}

// What is recorded of an attempt is what went wrong with it.
std::string EndingOf(const v1::Task& task, const v1::Attempt& attempt) {
  const bool is_last = attempt.number() == task.attempts();
  if (attempt.ending().empty() && attempt.has_ended_at() && is_last &&
      task.state() == v1::TASK_STATE_SUCCEEDED) {
    return NameOf(task.state());
  }
  return OrDash(attempt.ending());
}

}  // namespace

std::string CalibrationWords(const v1::Calibration& held) {
  auto percent = [&](int64_t within) {
    return absl::StrCat((100 * within + held.foretold() / 2) / held.foretold(),
                        " %");
  };
  return absl::StrCat("cost ", percent(held.cost_within_p90()),
                      " within p90, time ", percent(held.time_within_p90()),
                      " within p90 (", CountOf(held.foretold(), "task"), ")");
}

Json InstantToJson(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0 && timestamp.nanos() == 0) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", ToTime(timestamp),
                          absl::UTCTimeZone());
}

std::string NameOf(v1::TaskState state) {
  return EnumName(v1::TaskState_Name(state), "TASK_STATE_");
}
std::string NameOf(v1::BatchState state) {
  return EnumName(v1::BatchState_Name(state), "BATCH_STATE_");
}
std::string NameOf(v1::RequestClass request_class) {
  switch (request_class) {
    case v1::REQUEST_CLASS_CREATE:
      return "create";
    case v1::REQUEST_CLASS_WRITE:
      return "write";
    case v1::REQUEST_CLASS_READ:
      return "read";
    case v1::REQUEST_CLASS_FILES:
      return "files";
    default:
      return "unknown";
  }
}

std::string NameOf(v1::AccountState state) {
  switch (state) {
    case v1::ACCOUNT_STATE_OPEN:
      return "open";
    case v1::ACCOUNT_STATE_PAUSED:
      return "paused";
    case v1::ACCOUNT_STATE_REFUSED:
      return "refused";
    case v1::ACCOUNT_STATE_SPEND_CAP:
      return "at its spend cap";
    default:
      return "unknown";
  }
}

std::string NameOf(v1::FailureClass failure_class) {
  return EnumName(v1::FailureClass_Name(failure_class), "FAILURE_CLASS_");
}

v1::TaskState TaskStateNamed(const std::string& name) {
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  v1::TaskState_Parse(absl::StrCat("TASK_STATE_", absl::AsciiStrToUpper(name)),
                      &state);
  return state;
}

v1::BatchState BatchStateNamed(const std::string& name) {
  v1::BatchState state = v1::BATCH_STATE_UNSPECIFIED;
  v1::BatchState_Parse(
      absl::StrCat("BATCH_STATE_", absl::AsciiStrToUpper(name)), &state);
  return state;
}

bool IsFinal(v1::TaskState state) {
  return state == v1::TASK_STATE_SUCCEEDED || state == v1::TASK_STATE_FAILED ||
         state == v1::TASK_STATE_CANCELLED || state == v1::TASK_STATE_SKIPPED;
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

std::string FormatSpan(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (duration < absl::Seconds(10)) {
    return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(duration));
  }
  if (seconds < 60) return absl::StrFormat("%d s", seconds);
  if (seconds < 3600) {
    return absl::StrFormat("%d m %02d s", seconds / 60, seconds % 60);
  }
  return absl::StrFormat("%d h %02d m", seconds / 3600, seconds / 60 % 60);
}

std::string FormatInstant(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0 && timestamp.nanos() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(timestamp),
                          absl::LocalTimeZone());
}

std::string ResultLine(const v1::Task& task) {
  if (task.questions_size() > 0) {
    const v1::Question& first = task.questions(0);
    std::string line =
        first.has_spent_usd_micros()
            ? absl::StrCat("wants a higher budget: its session has cost ",
                           FormatUsd(first.spent_usd_micros()))
            : absl::StrCat(first.wants_result() ? "wants the result of "
                                                : "asks to use ",
                           Printable(first.tool()), " ",
                           OneLine(first.input_json()));
    const int more = task.questions_size() - 1;
    return more == 0 ? line : absl::StrCat("(and ", more, " more) ", line);
  }
  if (task.waits_for_size() > 0) {
    return absl::StrCat("waits for ", WaitsFor(task));
  }
  if (task.has_not_before() && task.attempts() == 0) {
    return absl::StrCat("delayed until ", FormatInstant(task.not_before()));
  }
  const bool succeeded = task.state() == v1::TASK_STATE_SUCCEEDED;
  if (!succeeded && !task.reason().empty()) return FirstLine(task.reason());
  std::string line = FirstLine(task.final_message());
  // Nobody said why.
  if (line.empty() && task.state() == v1::TASK_STATE_CANCELLED) {
    return NameOf(task.state());
  }
  return line;
}

std::string CountOf(int64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

int64_t FinalOf(const v1::TaskCounts& counts) {
  return counts.succeeded() + counts.failed() + counts.cancelled() +
         counts.skipped();
}

int64_t TotalOf(const v1::TaskCounts& counts) {
  return FinalOf(counts) + counts.blocked() + counts.queued() +
         counts.running() + counts.waiting() + counts.cancelling();
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
  return {
      {"task_id", why.task_id()},
      {"state", NameOf(why.state())},
      {"reason", EnumName(v1::WaitReason_Name(why.reason()), "WAIT_REASON_")},
      {"sentence", why.sentence()},
      {"until", InstantToJson(why.until())},
      {"predicted_start", InstantToJson(why.predicted_start())},
      {"prediction", why.prediction()},
      {"tasks_before", why.tasks_before()},
      {"more_before", why.more_before()}};
}

std::string WhyText(const v1::ExplainTaskResponse& why) {
  return absl::StrCat(
      OneLine(why.sentence()), "\n",
      why.prediction().empty()
          ? ""
          : absl::StrCat("Predicted start: ", OneLine(why.prediction()), "\n"));
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

absl::Status ReadInstant(const std::string& option, const std::string& text,
                         google::protobuf::Timestamp& out) {
  absl::Time time;
  std::string error;
  absl::CivilDay day;
  if (absl::ParseCivilTime(text, &day)) {
    time = absl::FromCivil(day, absl::LocalTimeZone());
  } else if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        option, " is '", Printable(text),
        "'; expected a day such as 2026-11-23 (its midnight here) or a time "
        "such as 2026-11-23T22:00:00Z"));
  }
  out.set_seconds(absl::ToUnixSeconds(time));
  out.set_nanos(static_cast<int32_t>(
      (time - absl::FromUnixSeconds(out.seconds())) / absl::Nanoseconds(1)));
  return absl::OkStatus();
}

std::string EventLine(const std::string& json) {
  if (json.find('\n') == std::string::npos) return json;
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? ToLine(Json(json)) : ToLine(parsed);
}

std::string AccountLine(const GlobalOptions& global,
                        const v1::Account& account) {
  std::string line = absl::StrCat("account ", OneLine(account.name()), " is ",
                                  NameOf(account.state()));
  if (account.state() == v1::ACCOUNT_STATE_OPEN) return line;
  if (!account.reason().empty()) {
    absl::StrAppend(&line, ": ", OneLine(account.reason()));
  }
  absl::StrAppend(&line, "; since ", FormatInstant(account.since()));
  if (account.has_until()) {
    absl::StrAppend(&line, ", until ", FormatInstant(account.until()));
  }
  if (account.has_next_probe()) {
    absl::StrAppend(&line, ", tried again at ",
                    FormatInstant(account.next_probe()));
  }
  absl::StrAppend(
      &line,
      account.state() == v1::ACCOUNT_STATE_REFUSED
          ? "; restart its worker with the right key, or `"
          : "; `",
      CommandLine(global, absl::StrCat("account resume ",
                                       Quoted(OneLine(account.name())))),
      account.state() == v1::ACCOUNT_STATE_PAUSED ? "` opens it"
                                                  : "` tries it now");
  return line;
}

std::string RatesLine(const v1::Account& account) {
  std::string line;
  for (const v1::RequestRate& rate : account.rates()) {
    if (rate.allowed_per_minute() == 0) continue;
    absl::StrAppendFormat(&line, "%s%s %d/%.0f", line.empty() ? "" : ", ",
                          NameOf(rate.request_class()), rate.accepted(),
                          rate.allowed_per_minute());
  }
  return line;
}

std::string RateTable(const v1::Account& account, int width) {
  if (account.rates().empty()) return "";
  auto number = [](double per_minute) {
    return per_minute == 0 ? "none" : absl::StrFormat("%.0f", per_minute);
  };
  std::vector<std::vector<std::string>> rows;
  for (const v1::RequestRate& rate : account.rates()) {
    rows.push_back(
        {NameOf(rate.request_class()), number(rate.limit_per_minute()),
         number(rate.allowed_per_minute()), absl::StrCat(rate.accepted()),
         absl::StrCat(rate.refused()), FormatInstant(rate.resting_until())});
  }
  return FormatTable({{"A MINUTE"},
                      {"LIMIT", true},
                      {"ALLOWED", true},
                      {"USED", true},
                      {"REFUSED", true},
                      {"RESTS UNTIL"}},
                     rows, width);
}

std::string BatchTable(const std::vector<v1::Batch>& batches, int width) {
  auto left_out = [](const v1::Batch& batch) {
    return batch.counts().cancelled() + batch.counts().skipped();
  };
  // A column for the few lists that have something in it.
  const bool any_left_out =
      std::any_of(batches.begin(), batches.end(), left_out);
  std::vector<Column> columns = {
      {"BATCH"}, {"STATE"}, {"SUCCEEDED", true}, {"FAILED", true}};
  if (any_left_out) columns.push_back({"LEFT OUT", true});
  columns.push_back({"COST", true, /*drop=*/1});
  columns.push_back({"SUBMITTED", false, /*drop=*/2});
  columns.push_back({"NAME"});
  std::vector<std::vector<std::string>> rows;
  for (const v1::Batch& batch : batches) {
    const v1::TaskCounts& counts = batch.counts();
    std::vector<std::string>& row = rows.emplace_back();
    row = {batch.batch_id(), BatchStateWord(batch),
           absl::StrCat(counts.succeeded(), "/", TotalOf(counts)),
           absl::StrCat(counts.failed())};
    if (any_left_out) row.push_back(absl::StrCat(left_out(batch)));
    row.push_back(FormatUsd(batch.charged_usd_micros()));
    row.push_back(FormatInstant(batch.submitted_at()));
    row.push_back(Printable(batch.name()));
  }
  return FormatTable(columns, rows, width);
}

std::string TaskTable(const std::vector<v1::Task>& tasks, int width) {
  // A name's part of the line.
  const size_t name_max = static_cast<size_t>(std::clamp(width / 5, 12, 32));
  std::vector<std::vector<std::string>> rows;
  for (const v1::Task& task : tasks) {
    rows.push_back(
        {task.task_id(), NameOf(task.state()), absl::StrCat(task.attempts()),
         FormatUsd(task.charged_usd_micros()),
         FormatSpan(ToDuration(task.run_time())),
         Shorten(Printable(task.name()), name_max), ResultLine(task)});
  }
  return FormatTable({{"TASK"},
                      {"STATE"},
                      {"TRIES", true, /*drop=*/3},
                      {"COST", true, /*drop=*/1},
                      {"TIME", true, /*drop=*/2},
                      {"NAME"},
                      {"RESULT"}},
                     rows, width);
}

std::string BatchDetails(const GlobalOptions& global, const v1::Batch& batch) {
  const v1::TaskCounts& counts = batch.counts();
  std::string out;
  auto line = [&](absl::string_view key, absl::string_view value) {
    absl::StrAppendFormat(&out, "%-12s%s\n", key, value);
  };
  line("batch", batch.batch_id());
  line("name", Printable(batch.name()));
  line("state", BatchStateWord(batch));
  line("tasks", absl::StrCat(TotalOf(counts)));
  const std::pair<const char*, int64_t> kinds[] = {
      {"  blocked", counts.blocked()},
      {"  queued", counts.queued()},
      {"  running", counts.running()},
      {"  waiting", counts.waiting()},
      {"  cancelling", counts.cancelling()},
      {"  succeeded", counts.succeeded()},
      {"  failed", counts.failed()},
      {"  cancelled", counts.cancelled()},
      {"  skipped", counts.skipped()}};
  for (const auto& [name, count] : kinds) {
    if (count > 0) line(name, absl::StrCat(count));
  }
  line("cost", FormatUsd(batch.charged_usd_micros()));
  if (batch.reserved_usd_micros() > 0) {
    line("reserved",
         absl::StrCat(FormatUsd(batch.reserved_usd_micros()),
                      batch.estimated_cost_usd_micros() > 0
                          ? absl::StrCat(", about ",
                                         FormatAboutUsd(
                                             batch.estimated_cost_usd_micros()),
                                         " of it spent so far")
                          : ""));
  }
  if (batch.overshoot_usd_micros() > 0) {
    line("overshoot", FormatUsd(batch.overshoot_usd_micros()));
  }
  if (batch.has_budget_usd_micros()) {
    line("budget", FormatUsd(batch.budget_usd_micros()));
  }
  if (batch.has_deadline()) {
    line("deadline", FormatInstant(batch.deadline()));
  }
  if (batch.has_risk()) line("at risk", RiskLine(batch));
  if (batch.max_running() > 0) {
    line("cap", absl::StrCat(batch.max_running(), " at once"));
  }
  if (batch.has_canary()) line("canary", CanaryLine(batch));
  if (batch.has_stop()) line("stop when", StopLine(batch.stop()));
  for (const std::string& held :
       {BatchPauseLine(global, batch), QueuePauseLine(global, batch),
        FullCapLine(batch)}) {
    if (!held.empty()) line("waits", held);
  }
  if (batch.has_account_trouble()) {
    line("waits", AccountLine(global, batch.account_trouble()));
  }
  if (batch.waits_for_budget()) {
    line("waits", absl::StrCat("a budget has no room for the next task: see `",
                               CommandLine(global, "budget list"), "`"));
  }
  for (const v1::HookDelivery& hook : batch.hooks()) {
    line("hook", HookLine(hook));
  }
  if (batch.has_forecast()) {
    line("forecast", ForecastWords(batch.forecast(), " a task"));
  }
  if (batch.has_calibration()) {
    line("held", CalibrationWords(batch.calibration()));
  }
  line("submitted", FormatInstant(batch.submitted_at()));
  line("ended", FormatInstant(batch.ended_at()));
  line("queue", Printable(batch.queue()));
  line("tenant", Printable(batch.tenant()));
  line("account", Printable(batch.account()));
  return out;
}

std::string TaskDetails(const v1::Task& task, int width) {
  std::string out;
  auto line = [&](absl::string_view key, absl::string_view value) {
    absl::StrAppendFormat(&out, "%-12s%s\n", key, value);
  };
  line("task", task.task_id());
  line("name", Printable(task.name()));
  line("batch", OrDash(task.batch_id()));
  line("queue", OrDash(task.queue()));
  if (!IsFinal(task.state())) line("priority", absl::StrCat(task.priority()));
  for (const auto& [key, value] : std::map<std::string, std::string>(
           task.labels().begin(), task.labels().end())) {
    line("label", absl::StrCat(Printable(key), "=", Printable(value)));
  }
  line("state", absl::StrCat(NameOf(task.state()),
                             task.finished_anyway()
                                 ? ", though its turn had ended by itself"
                                 : ""));
  if (task.failure_class() != v1::FAILURE_CLASS_UNSPECIFIED) {
    line("failure", NameOf(task.failure_class()));
  }
  if (!task.reason().empty()) line("reason", Printable(task.reason()));
  if (task.waits_for_size() > 0) line("waits for", WaitsFor(task));
  line("cost", absl::StrCat(FormatUsd(task.charged_usd_micros()), " of ",
                            FormatUsd(task.max_cost_usd_micros())));
  if (task.has_estimated_cost_usd_micros()) {
    line(
        "so far",
        absl::StrCat("about ", FormatAboutUsd(task.estimated_cost_usd_micros()),
                     " by the attempt that is on"));
  }
  line("time", FormatSpan(ToDuration(task.run_time())));
  if (task.has_forecast()) line("forecast", ForecastWords(task.forecast(), ""));
  line("submitted", FormatInstant(task.submitted_at()));
  line("ended", FormatInstant(task.ended_at()));
  if (task.has_not_before()) {
    line(task.attempts() == 0 ? "delayed to" : "tried again",
         FormatInstant(task.not_before()));
  }
  if (task.has_expires_at()) {
    line(IsFinal(task.state()) ? "expired" : "expires",
         FormatInstant(task.expires_at()));
  }
  if (!task.unique_key().empty()) {
    line("unique key", Printable(task.unique_key()));
  }
  if (!task.retry_of().empty()) line("retry of", task.retry_of());
  if (task.questions_size() > 0) {
    line("answer by", FormatInstant(task.answer_by()));
    line("held", absl::StrCat(FormatUsd(task.reserved_usd_micros()),
                              " while it waits"));
  }
  for (const v1::Question& question : task.questions()) {
    if (question.has_spent_usd_micros()) {
      absl::StrAppend(&out, "\nquestion    ", Printable(question.question_id()),
                      "\n  a higher budget: the session has cost ",
                      FormatUsd(question.spent_usd_micros()), "\n");
      continue;
    }
    absl::StrAppend(&out, "\nquestion    ", Printable(question.question_id()),
                    "\n  ", question.wants_result() ? "result of " : "may use ",
                    Printable(question.tool()), "\n  ",
                    OneLine(question.input_json()), "\n");
  }
  if (task.attempt_list_size() > 0) {
    std::vector<std::vector<std::string>> rows;
    for (const v1::Attempt& attempt : task.attempt_list()) {
      rows.push_back(
          {absl::StrCat(attempt.number()), OrDash(attempt.session_id()),
           absl::StrCat(FormatUsd(attempt.charged_usd_micros()),
                        attempt.cost_unknown() ? " (not known yet)" : ""),
           FormatInstant(attempt.granted_at()), EndingOf(task, attempt)});
    }
    absl::StrAppend(&out, "\n",
                    FormatTable({{"TRY", true},
                                 {"SESSION"},
                                 {"COST", true},
                                 {"STARTED"},
                                 {"ENDING"}},
                                rows, width));
  }
  if (task.outputs_size() > 0) {
    std::vector<std::vector<std::string>> rows;
    for (const v1::Output& output : task.outputs()) {
      rows.push_back({absl::StrCat(output.size_bytes()),
                      output.sha256().substr(0, 12), Printable(output.path())});
    }
    absl::StrAppend(
        &out, "\n",
        FormatTable({{"BYTES", true}, {"SHA-256"}, {"OUTPUT"}}, rows, width));
  }
  if (!task.final_message().empty()) {
    absl::StrAppend(&out, "\n");
    for (absl::string_view text : absl::StrSplit(
             absl::StripAsciiWhitespace(task.final_message()), '\n')) {
      absl::StrAppend(&out, Printable(text), "\n");
    }
  }
  return out;
}

}  // namespace midwatch::cli
