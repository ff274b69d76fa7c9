// What a task is given of those that it needs, once they are done: their last
// messages, for its prompt, and their outputs, as inputs.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

constexpr char kAllTasks[] = "all";
// See v1::TaskSpec.prompt and v1::Input.path.
constexpr size_t kGivenBytesMax = 2 << 20;
constexpr int kGivenInputsMax = 500;
constexpr int kGivingTasksMax = 10'000;

std::string NeedLabel(const v1::Need& need) {
  if (need.all_earlier()) return kAllTasks;
  return need.task_id().empty() ? need.name() : need.task_id();
}

bool WantsInputs(const v1::TaskLine& line, const std::string& label) {
  return std::any_of(line.inputs().begin(), line.inputs().end(),
                     [&](const auto& each) { return each.from() == label; });
}

void AddInput(const v1::Output& output, std::string mount,
              v1::TaskLine& given) {
  v1::Input& input = *given.add_inputs();
  input.set_mount(std::move(mount));
  input.set_sha256(output.sha256());
  input.set_size_bytes(output.size_bytes());
}

bool IsPathBelow(const std::string& path) {
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

// The outputs of the task `name` that `input` wants, below `mount` or at it.
void AddOutputs(const v1::Ending& ending, const v1::Input& input,
                const std::string& mount, const std::string& name,
                v1::TaskLine& given, std::string& trouble) {
  if (!IsPathBelow(mount)) {
    trouble = absl::StrCat("needs outputs of '", name,
                           "', whose name is no path to mount them at");
    return;
  }
  for (const v1::Output& output : ending.outputs()) {
    if (input.path().empty()) {
      AddInput(output, absl::StrCat(mount, "/", output.path()), given);
    } else if (output.path() == input.path()) {
      return AddInput(output, mount, given);
    }
  }
  if (input.path().empty()) return;
  trouble = absl::StrCat("needs the output ", input.path(), " of '", name,
                         "', which left no such file");
}

// Why a task of `line` cannot have what it is given, or "".
std::string Trouble(const v1::TaskLine& line, const v1::TaskLine& given,
                    size_t bytes) {
  if (bytes > kGivenBytesMax) {
    return absl::StrCat("needs tasks whose messages have more than ",
                        kGivenBytesMax, " bytes together");
  }
  std::set<std::string> mounts;
  int files = given.inputs_size();
  for (const v1::Input& input : line.inputs()) {
    if (!input.from().empty()) continue;
    mounts.insert(input.mount());
    ++files;
  }
  if (files > kGivenInputsMax) {
    return absl::StrCat("needs tasks that left ", given.inputs_size(),
                        " outputs: with its own inputs ", files,
                        ", and a session takes ", kGivenInputsMax);
  }
  for (const v1::Input& input : given.inputs()) {
    if (mounts.insert(input.mount()).second) continue;
    return absl::StrCat("needs tasks whose outputs are to be mounted at ",
                        input.mount(), " twice");
  }
  return "";
}

absl::Status LostRow(int64_t task) {
  return absl::DataLossError(absl::StrCat("task row ", task));
}

constexpr char kNeededIsDeleted[] = "needs tasks that are deleted";

}  // namespace

absl::StatusOr<QueueWriter::Given> QueueWriter::GiveNeeds(int64_t task) {
  v1::TaskLine line;
  {
    SqliteStatement row =
        db_.Query("SELECT line_blob FROM task WHERE id = ?", task);
    if (!row.Step() || !line.ParseFromString(row.Text(0))) {
      return LostRow(task);
    }
  }
  struct Row {
    size_t k = 0, mentions = 0;
    int64_t need = 0, batch = 0, until = 0;
  };
  std::vector<Row> rows;
  {
    SqliteStatement row = db_.Query(
        "SELECT k, need, batch, until, mentions FROM need WHERE task = ? "
        "ORDER BY k",
        task);
    while (row.Step()) {
      rows.push_back({static_cast<size_t>(row.Int(0)),
                      static_cast<size_t>(row.Int(4)), row.Int(1), row.Int(2),
                      row.Int(3)});
    }
    RETURN_IF_ERROR(row.status());
  }
  Given given;
  for (const Row& row : rows) {
    const std::string label = NeedLabel(line.needs(static_cast<int>(row.k)));
    if (row.mentions == 0 && !WantsInputs(line, label)) continue;
    RETURN_IF_ERROR(
        row.batch == 0
            ? GiveOne(row.need, line, label, row.mentions, given)
            : GiveAll(row.batch, row.until, line, row.mentions, given));
  }
  if (given.trouble.empty())
    given.trouble = Trouble(line, given.line, given.bytes);
  return given;
}

absl::StatusOr<v1::Ending> QueueWriter::LoadEnding(int64_t task) {
  SqliteStatement row = db_.Query("SELECT ending FROM task WHERE id = ?", task);
  v1::Ending ending;
  const bool found = row.Step();
  if (found && ending.ParseFromString(row.Text(0))) return ending;
  RETURN_IF_ERROR(row.status());
  return found ? LostRow(task) : absl::NotFoundError(kNeededIsDeleted);
}

absl::Status QueueWriter::GiveOne(int64_t needed, const v1::TaskLine& line,
                                  const std::string& label, size_t mentions,
                                  Given& given) {
  absl::StatusOr<v1::Ending> found = LoadEnding(needed);
  if (absl::IsNotFound(found.status())) {
    given.trouble = kNeededIsDeleted;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(found.status());
  const v1::Ending& ending = *found;
  if (mentions > 0) {
    given.bytes += mentions * ending.final_message().size();
    (*given.line
          .mutable_parameters())[absl::StrCat("tasks.", label, ".message")] =
        ending.final_message();
  }
  for (const v1::Input& input : line.inputs()) {
    if (input.from() != label) continue;
    AddOutputs(ending, input, input.mount(), label, given.line, given.trouble);
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::GiveAll(int64_t batch, int64_t until,
                                  const v1::TaskLine& line, size_t mentions,
                                  Given& given) {
  std::string text;
  int tasks = 0;
  // Of a batch that tries another again, what was not tried again is there.
  for (bool more = true; more;) {
    absl::StatusOr<bool> goes_on = GoToRetried(batch, until);
    if (absl::IsFailedPrecondition(goes_on.status())) {
      given.trouble = kNeededIsDeleted;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(goes_on.status());
    more = *goes_on;
  }
  SqliteStatement row = db_.Query(
      "SELECT id, name, state, ending FROM task "
      "WHERE batch = ? AND batch > 0 ORDER BY line",
      batch);
  // Later lines have higher numbers.
  while (given.trouble.empty() && row.Step() && row.Int(0) < until) {
    if (++tasks > kGivingTasksMax) {
      given.trouble =
          absl::StrCat("needs more than ", kGivingTasksMax,
                       " tasks, too many to be given what they left");
      break;
    }
    int64_t from = row.Int(0);
    const std::string name = row.Text(1);
    v1::Ending ending;
    if (row.Int(2) == v1::TASK_STATE_SUCCEEDED) {
      if (!ending.ParseFromString(row.Text(3))) return LostRow(from);
    } else {
      ASSIGN_OR_RETURN(from, StandIn(from));
      if (from == row.Int(0)) continue;
      ASSIGN_OR_RETURN(ending, LoadEnding(from));
    }
    if (mentions > 0) {
      absl::StrAppend(&text, name, ": ", ending.final_message(), "\n");
      if (mentions * text.size() > kGivenBytesMax) break;
    }
    for (const v1::Input& input : line.inputs()) {
      if (input.from() != kAllTasks) continue;
      std::string mount = absl::StrCat(input.mount(), "/", name);
      if (!input.path().empty()) absl::StrAppend(&mount, "/", input.path());
      AddOutputs(ending, input, mount, name, given.line, given.trouble);
    }
  }
  RETURN_IF_ERROR(row.status());
  if (mentions > 0) {
    given.bytes += mentions * text.size();
    (*given.line.mutable_parameters())["tasks.all.messages"] = std::move(text);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> QueueWriter::GoToRetried(int64_t& batch, int64_t& until) {
  SqliteStatement row = db_.Query(
      "SELECT b.retry_of, t.retry_of FROM batch b JOIN task t ON t.id = ? "
      "WHERE b.id = ?",
      until, batch);
  if (!row.Step() || row.IsNull(0) || row.IsNull(1)) {
    RETURN_IF_ERROR(row.status());
    return false;
  }
  batch = row.Int(0);
  until = row.Int(1);
  ASSIGN_OR_RETURN(bool deleted, IsDeleted(batch));
  if (!deleted) return true;
  return absl::FailedPreconditionError(kNeededIsDeleted);
}

absl::StatusOr<int64_t> QueueWriter::StandIn(int64_t task) {
  // Retries of retries: of each the newest.
  constexpr int kRetriesMax = 100;
  int64_t at = task;
  for (int i = 0; i < kRetriesMax; ++i) {
    {
      SqliteStatement row =
          db_.Query("SELECT state FROM task WHERE id = ?", at);
      if (row.Step() && row.Int(0) == v1::TASK_STATE_SUCCEEDED) return at;
      RETURN_IF_ERROR(row.status());
    }
    SqliteStatement row = db_.Query(
        "SELECT id FROM task WHERE retry_of = ? ORDER BY id DESC LIMIT 1", at);
    if (!row.Step()) {
      RETURN_IF_ERROR(row.status());
      break;
    }
    at = row.Int(0);
  }
  return task;
}

absl::Status QueueWriter::RetryNeeds(const TaskRow& old, int64_t task) {
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO need(task, k, need, batch, until, policy, mentions, open) "
      "SELECT ?, k, need, batch, until, policy, mentions, 0 FROM need "
      "WHERE task = ?",
      task, old.id));
  struct Row {
    int64_t k = 0, need = 0, batch = 0, until = 0;
    bool anyway = false;
  };
  std::vector<Row> rows;
  {
    SqliteStatement row = db_.Query(
        "SELECT k, need, batch, until, policy FROM need WHERE task = ?", task);
    while (row.Step()) {
      rows.push_back({row.Int(0), row.Int(1), row.Int(2), row.Int(3),
                      row.Int(4) == v1::NEED_POLICY_RUN_ANYWAY});
    }
    RETURN_IF_ERROR(row.status());
  }
  for (const Row& row : rows) {
    if (row.batch != 0) {
      RETURN_IF_ERROR(CheckAllDone(row.batch, row.until, row.anyway));
      continue;
    }
    ASSIGN_OR_RETURN(int64_t other, StandIn(row.need));
    RETURN_IF_ERROR(CheckDone(other, row.anyway));
    RETURN_IF_ERROR(db_.Run("UPDATE need SET need = ? WHERE task = ? AND k = ?",
                            other, task, row.k));
  }
  ASSIGN_OR_RETURN(Given given, GiveNeeds(task));
  if (!given.trouble.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the task cannot be tried again: it ", given.trouble));
  }
  return db_.Run("UPDATE task SET given = ? WHERE id = ?",
                 SqliteBlob{given.line.SerializeAsString()}, task);
}

}  // namespace midwatch
