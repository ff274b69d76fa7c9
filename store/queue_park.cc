// Attempts that wait for a person: parking them, answering, giving up.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

bool IsAnswerKind(v1::SayKind kind) {
  return kind == v1::SAY_KIND_ALLOW || kind == v1::SAY_KIND_DENY ||
         kind == v1::SAY_KIND_RESULT || kind == v1::SAY_KIND_ERROR ||
         kind == v1::SAY_KIND_BUDGET;
}

// What the journal says that a task waits for.
std::string WhatItAsks(const std::vector<const v1::Question*>& open) {
  std::vector<std::string> what;
  for (const v1::Question* question : open) {
    what.push_back(question->has_spent_usd_micros() ? "a higher budget"
                                                    : question->tool());
  }
  return absl::StrCat("asks: ", absl::StrJoin(what, ", "));
}

// The budget that a raise asks for, where it is enough for the session to go
// on.
absl::StatusOr<int64_t> RaiseTo(const v1::Question& question,
                                const std::string& text) {
  // The service counts in cents, and wants more than what is spent.
  constexpr int64_t kMicrosPerCent = 10'000;
  int64_t to = 0;
  if (!absl::SimpleAtoi(text, &to)) {
    return absl::InternalError(absl::StrCat("no amount: ", text));
  }
  if (to < question.spent_usd_micros() + kMicrosPerCent) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the session has cost ", question.spent_usd_micros(),
        " micro-dollars; its new budget must be at least a cent more"));
  }
  return to;
}

}  // namespace

absl::StatusOr<Parked> QueueWriter::Do(const Park& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  Parked result;
  if (live.cancelling) {
    result.cancelling = true;
    return result;
  }
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(write.lease.task));
  ASSIGN_OR_RETURN(v1::TaskSpec spec, LoadSpec(task.template_id));
  std::vector<const v1::Question*> open;
  for (const v1::Question& question : write.questions) {
    const std::string& id = question.question_id();
    ASSIGN_OR_RETURN(std::optional<v1::Say> say,
                     FindSay(task.id, live.lease.attempt, id));
    if (!say && question.has_spent_usd_micros()) {
      const BudgetAnswer answer =
          write.policy.raise(spec, {.spent = question.spent_usd_micros(),
                                    .budget = live.reserved - live.overshoot,
                                    .earlier = task.charged});
      if (answer.kind == BudgetAnswer::kEnd) {
        result.end = true;
        return result;
      }
      if (answer.kind == BudgetAnswer::kRaise) {
        ASSIGN_OR_RETURN(say, RaiseByPolicy(task, live, id, answer.to));
      }
    }
    if (v1::SayKind kind = write.policy.answer(spec, question);
        !say && kind != 0) {
      ASSIGN_OR_RETURN(say, PutSay(task.id, live.lease.attempt, kind, id, ""));
    }
    if (say) {
      result.answers.push_back(*std::move(say));
    } else {
      open.push_back(&question);
    }
  }
  if (open.empty()) return result;

  int64_t now = NowMicros();
  int64_t by = now + absl::ToInt64Microseconds(write.policy.within(spec));
  for (const v1::Question* question : open) {
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO question(task, id, tool, input, wants_result, "
                "spent) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                task.id, question->question_id(), question->tool(),
                question->input_json(), question->wants_result() ? 1 : 0,
                SqliteNullable<int64_t>{question->has_spent_usd_micros(),
                                        question->spent_usd_micros()}));
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE live SET worker = NULL, parked_at = ?, answer_by = ? "
              "WHERE task = ?",
              now, by, task.id));
  RETURN_IF_ERROR(db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?)",
                          by, kAnswerTimer, task.id));
  RETURN_IF_ERROR(db_.Run("UPDATE task SET state = ? WHERE id = ?",
                          static_cast<int>(v1::TASK_STATE_WAITING), task.id));
  JournalEntry entry{.kind = JournalKind::kParked,
                     .batch = live.batch,
                     .task = task.id,
                     .attempt = live.lease.attempt,
                     .state = v1::TASK_STATE_WAITING,
                     .who = live.lease.worker,
                     .why = WhatItAsks(open)};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(
      Count(live.batch, v1::TASK_STATE_RUNNING, v1::TASK_STATE_WAITING));
  RETURN_IF_ERROR(CountRunning(task.lane, -1));
  RETURN_IF_ERROR(UnblockBatch(live.batch));
  result.parked = true;
  return result;
}

absl::StatusOr<std::optional<v1::Say>> QueueWriter::RaiseByPolicy(
    const TaskRow& task, const LiveRow& live, const std::string& question,
    int64_t to) {
  absl::StatusOr<int64_t> more = RaiseReservation(task, live, to);
  if (absl::IsFailedPrecondition(more.status())) return std::nullopt;
  RETURN_IF_ERROR(more.status());
  JournalEntry entry{.kind = JournalKind::kAnswered,
                     .batch = live.batch,
                     .task = task.id,
                     .attempt = live.lease.attempt,
                     .state = v1::TASK_STATE_RUNNING,
                     .reserve_delta = *more,
                     .why = "its budget is raised, as its spec says"};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(Count(live.batch, v1::TASK_STATE_RUNNING,
                        v1::TASK_STATE_RUNNING, 0, *more));
  ASSIGN_OR_RETURN(v1::Say say,
                   PutSay(task.id, live.lease.attempt, v1::SAY_KIND_BUDGET,
                          question, absl::StrCat(to)));
  return say;
}

absl::StatusOr<std::vector<v1::Question>> QueueWriter::ListQuestions(
    int64_t task) {
  SqliteStatement row = db_.Query(
      "SELECT id, wants_result, spent FROM question WHERE task = ?", task);
  std::vector<v1::Question> questions;
  while (row.Step()) {
    v1::Question& question = questions.emplace_back();
    question.set_question_id(row.Text(0));
    question.set_wants_result(row.Int(1) != 0);
    if (!row.IsNull(2)) question.set_spent_usd_micros(row.Int(2));
  }
  RETURN_IF_ERROR(row.status());
  return questions;
}

absl::Status QueueWriter::CheckAnswer(const v1::Question& question,
                                      v1::SayKind kind) {
  if (question.has_spent_usd_micros()) {
    return kind == v1::SAY_KIND_BUDGET
               ? absl::OkStatus()
               : absl::FailedPreconditionError(
                     "the session has reached its budget: raise it, or cancel "
                     "the task");
  }
  if (kind == v1::SAY_KIND_DENY) return absl::OkStatus();
  if (kind == v1::SAY_KIND_BUDGET ||
      (kind == v1::SAY_KIND_RESULT) != question.wants_result()) {
    return absl::FailedPreconditionError(
        question.wants_result()
            ? "the question wants the result of a tool, or a refusal"
            : "the question wants a permission or a refusal, nothing else");
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::Unpark(const LiveRow& live) {
  int64_t task = live.lease.task;
  ASSIGN_OR_RETURN(TaskRow row, LoadTask(task));
  RETURN_IF_ERROR(CountRunning(row.lane, 1));
  RETURN_IF_ERROR(db_.Run("DELETE FROM question WHERE task = ?", task));
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM timer WHERE at = ? AND kind = ? AND ref = ?",
              *live.answer_by, kAnswerTimer, task));
  // The wall clock may have stepped back.
  int64_t parked = std::max<int64_t>(0, NowMicros() - *live.parked_at);
  return db_.Run(
      "UPDATE live SET parked_at = NULL, answer_by = NULL, "
      "parked_for = parked_for + ? WHERE task = ?",
      parked, task);
}

absl::Status QueueWriter::GiveUpWaiting(int64_t task, int64_t answer_by) {
  ASSIGN_OR_RETURN(std::optional<LiveRow> live, FindLive(task));
  // The timer may have been put off, but a time that is later has its own.
  if (!live || !live->answer_by || *live->answer_by > answer_by) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Unpark(*live));
  RETURN_IF_ERROR(
      db_.Run("UPDATE live SET unanswered = 1 WHERE task = ?", task));
  RETURN_IF_ERROR(db_.Run("UPDATE task SET state = ? WHERE id = ?",
                          static_cast<int>(v1::TASK_STATE_RUNNING), task));
  JournalEntry entry{.kind = JournalKind::kUnanswered,
                     .batch = live->batch,
                     .task = task,
                     .attempt = live->lease.attempt,
                     .state = v1::TASK_STATE_RUNNING};
  RETURN_IF_ERROR(Journal(entry).status());
  return Count(live->batch, v1::TASK_STATE_WAITING, v1::TASK_STATE_RUNNING);
}

absl::StatusOr<Answered> QueueWriter::Do(const AnswerTask& write) {
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(write.task));
  ASSIGN_OR_RETURN(std::optional<LiveRow> live, FindLive(task.id));
  ASSIGN_OR_RETURN(std::vector<v1::Question> open, ListQuestions(task.id));
  std::string id = write.question;
  if (id.empty()) {
    if (open.size() > 1) {
      std::vector<std::string> ids;
      for (const v1::Question& each : open) ids.push_back(each.question_id());
      return absl::FailedPreconditionError(
          absl::StrCat("the task asks ", open.size(),
                       " questions; name one of ", absl::StrJoin(ids, ", ")));
    }
    if (!open.empty()) id = open[0].question_id();
  }
  auto question = std::find_if(open.begin(), open.end(), [&](const auto& each) {
    return each.question_id() == id;
  });
  if (question == open.end()) {
    // Again?
    std::optional<v1::Say> said;
    if (live && !id.empty()) {
      ASSIGN_OR_RETURN(said, FindSay(task.id, live->lease.attempt, id));
    }
    bool failed = said && said->kind() == v1::SAY_KIND_ERROR;
    v1::SayKind kind = failed ? v1::SAY_KIND_DENY
                       : said ? said->kind()
                              : v1::SayKind();
    if (said && IsAnswerKind(kind) && kind == write.kind &&
        said->text() == write.text) {
      return Answered{StateOf(*live)};
    }
    return absl::FailedPreconditionError(
        said ? absl::StrCat("question ", id, " was answered otherwise")
        : open.empty()
            ? "the task waits for no answer: it is over, or it was answered"
            : absl::StrCat("the task asks no question ", id));
  }
  RETURN_IF_ERROR(CheckAnswer(*question, write.kind));
  int64_t more = 0;
  if (write.kind == v1::SAY_KIND_BUDGET) {
    ASSIGN_OR_RETURN(int64_t to, RaiseTo(*question, write.text));
    ASSIGN_OR_RETURN(more, RaiseReservation(task, *live, to));
  }
  bool deny = write.kind == v1::SAY_KIND_DENY;
  v1::SayKind kind =
      deny && question->wants_result() ? v1::SAY_KIND_ERROR : write.kind;
  RETURN_IF_ERROR(
      PutSay(task.id, live->lease.attempt, kind, id, write.text).status());
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM question WHERE task = ? AND id = ?", task.id, id));
  bool last = open.size() == 1;
  Answered answered{last ? v1::TASK_STATE_RUNNING : v1::TASK_STATE_WAITING};
  JournalEntry entry{.kind = JournalKind::kAnswered,
                     .batch = live->batch,
                     .task = task.id,
                     .attempt = live->lease.attempt,
                     .state = answered.state,
                     .reserve_delta = more,
                     .why = id};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(
      Count(live->batch, v1::TASK_STATE_WAITING, answered.state, 0, more));
  if (!last) return answered;
  RETURN_IF_ERROR(Unpark(*live));
  RETURN_IF_ERROR(db_.Run("UPDATE task SET state = ? WHERE id = ?",
                          static_cast<int>(answered.state), task.id));
  return answered;
}

}  // namespace midwatch
