#include "cli/task_views.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "cli/forecast_views.h"
#include "cli/money.h"
#include "cli/state_names.h"
#include "cli/table.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

// The tasks that it needs and that are not done.
std::string WaitsFor(const v1::Task& task) {
  std::vector<std::string> names;
  for (const std::string& name : task.waits_for()) {
    names.push_back(OneLine(name));
  }
  return absl::StrCat(absl::StrJoin(names, ", "),
                      task.waits_for_others() ? " and others" : "");
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

std::string WhyText(const v1::ExplainTaskResponse& why) {
  return absl::StrCat(
      OneLine(why.sentence()), "\n",
      why.prediction().empty()
          ? ""
          : absl::StrCat("Predicted start: ", OneLine(why.prediction()), "\n"));
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
  if (task.has_deadline()) line("deadline", FormatInstant(task.deadline()));
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
