// Attempts that wait for a person: parking them, answering, giving up.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

bool IsAnswerKind(v1::SayKind kind) {
  return kind == v1::SAY_KIND_ALLOW || kind == v1::SAY_KIND_DENY ||
         kind == v1::SAY_KIND_RESULT || kind == v1::SAY_KIND_ERROR;
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
    if (v1::SayKind kind = write.answer(spec, question); !say && kind != 0) {
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
  int64_t by = now + absl::ToInt64Microseconds(write.within(spec));
  std::vector<std::string> tools;
  for (const v1::Question* question : open) {
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO question(task, id, tool, input, wants_result) "
                "VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
                task.id, question->question_id(), question->tool(),
                question->input_json(), question->wants_result() ? 1 : 0));
    tools.push_back(question->tool());
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
                     .why = absl::StrCat("asks: ", absl::StrJoin(tools, ", "))};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(
      Count(live.batch, v1::TASK_STATE_RUNNING, v1::TASK_STATE_WAITING));
  result.parked = true;
  return result;
}

absl::StatusOr<std::vector<v1::Question>> QueueWriter::ListQuestions(
    int64_t task) {
  SqliteStatement row =
      db_.Query("SELECT id, wants_result FROM question WHERE task = ?", task);
  std::vector<v1::Question> questions;
  while (row.Step()) {
    v1::Question& question = questions.emplace_back();
    question.set_question_id(row.Text(0));
    question.set_wants_result(row.Int(1) != 0);
  }
  RETURN_IF_ERROR(row.status());
  return questions;
}

absl::Status QueueWriter::Unpark(const LiveRow& live) {
  int64_t task = live.lease.task;
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
  if (!live || live->answer_by != answer_by) return absl::OkStatus();
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
            ? absl::StrCat("the task is ", v1::TaskState_Name(task.state),
                           " and waits for no answer")
            : absl::StrCat("the task asks no question ", id));
  }
  bool result = write.kind == v1::SAY_KIND_RESULT;
  bool deny = write.kind == v1::SAY_KIND_DENY;
  if (!deny && result != question->wants_result()) {
    return absl::FailedPreconditionError(
        question->wants_result()
            ? "the question wants the result of a tool, or a refusal"
            : "the question wants a permission or a refusal, no result");
  }
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
                     .why = id};
  RETURN_IF_ERROR(Journal(entry).status());
  if (!last) return answered;
  RETURN_IF_ERROR(Unpark(*live));
  RETURN_IF_ERROR(db_.Run("UPDATE task SET state = ? WHERE id = ?",
                          static_cast<int>(answered.state), task.id));
  RETURN_IF_ERROR(
      Count(live->batch, v1::TASK_STATE_WAITING, v1::TASK_STATE_RUNNING));
  return answered;
}

}  // namespace midwatch
