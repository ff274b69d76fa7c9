#include "tests/sim/output_model.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "midwatch/v1/task.pb.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

// Where the spec does not say.
constexpr int kTriesDefault = 3;

bool BlamesOutputs(const JournalRow& row) {
  return absl::StrContains(row.why, "check failed: ") ||
         absl::StrContains(row.why, "expected output missing: ");
}

// Of a task that is deleted meanwhile: nothing.
std::optional<v1::TaskSpec> SpecOf(int64_t task, Sqlite& queue) {
  SqliteStatement row = queue.Query(
      "SELECT x.spec FROM task t JOIN template x ON x.id = t.template "
      "WHERE t.id = ?",
      task);
  v1::TaskSpec spec;
  if (!row.Step() || !spec.ParseFromString(row.Text(0))) return std::nullopt;
  return spec;
}

}  // namespace

void OutputModel::Turn(const std::string& session, std::string wrong) {
  if (!wrong.empty()) counts_.Add("turns whose outputs are bad");
  turns_[session].push_back(std::move(wrong));
}

bool OutputModel::IsBad(const std::string& session) const {
  auto turns = turns_.find(session);
  return turns != turns_.end() &&
         std::any_of(turns->second.begin(), turns->second.end(),
                     [](const std::string& wrong) { return !wrong.empty(); });
}

void OutputModel::Fold(const JournalRow& row, const std::string& session,
                       int failures, Sqlite& queue) {
  if (row.kind != JournalKind::kRetry && row.kind != JournalKind::kSettled) {
    return;
  }
  const std::optional<v1::TaskSpec> spec = SpecOf(row.task, queue);
  if (!spec) return;
  // A schedule's tasks are to leave nothing.
  if (!spec->expect().files().empty()) CheckVerdict(row, session);
  if (row.failure == v1::FAILURE_CLASS_TASK) {
    const int tries = spec->retry().max_failures();
    CheckTries(row, failures, tries > 0 ? tries : kTriesDefault);
  }
}

// Of several turns the later ones may have mended it.
void OutputModel::CheckVerdict(const JournalRow& row,
                               const std::string& session) {
  const bool blamed = BlamesOutputs(row);
  if (blamed) counts_.Add("attempts failed for their outputs");
  auto turns = turns_.find(session);
  const bool one = turns != turns_.end() && turns->second.size() == 1;
  const std::string wrong = one ? turns->second[0] : "";
  auto report = [&](const std::string& what) {
    report_(kOutputs,
            absl::StrCat("journal ", row.seq, ", task ", row.task, ", session ",
                         session, " ", what, ": ", row.why));
  };
  if (blamed && !IsBad(session)) report("failed for good outputs");
  if (!one || wrong.empty()) return;
  if (row.state == v1::TASK_STATE_SUCCEEDED) {
    report(absl::StrCat("succeeded, and ", wrong));
  }
  if (blamed && !absl::StrContains(row.why, wrong)) {
    report(absl::StrCat("is to say that ", wrong));
  }
}

// As many failures as the spec allows, and no more.
void OutputModel::CheckTries(const JournalRow& row, int failures, int tries) {
  const bool again = row.kind == JournalKind::kRetry;
  const bool used_up = absl::StrContains(row.why, " times)") ||
                       absl::StrContains(row.why, "no further try");
  const bool starts = absl::StrContains(row.why, "it was ");
  if (again ? failures < tries : !used_up || starts || failures == tries) {
    return;
  }
  report_(kOutputs,
          absl::StrCat("journal ", row.seq, ", task ", row.task, " failed ",
                       failures, " times of ", tries,
                       again ? ", and is tried again" : ", and is over", ": ",
                       row.why));
}

}  // namespace midwatch::sim
