#include "scheduler/money_proto.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "scheduler/field_checks.h"
#include "scheduler/rich_error.h"
#include "store/budget_window.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

constexpr int64_t kLimitMax = 1'000'000'000'000'000;
constexpr int64_t kMaxCostMin = 10'000;
constexpr int64_t kTaskLimitMax = 1'000'000'000'000;

struct KindName {
  JournalKind kind;
  const char* name;
};
constexpr KindName kKindNames[] = {
    {JournalKind::kBatchOpened, "batch_opened"},
    {JournalKind::kTasksAdded, "tasks_added"},
    {JournalKind::kBatchSealed, "batch_sealed"},
    {JournalKind::kSubmitted, "submitted"},
    {JournalKind::kGranted, "granted"},
    {JournalKind::kAdopted, "adopted"},
    {JournalKind::kSessionRecorded, "session_recorded"},
    {JournalKind::kSessionCleared, "session_cleared"},
    {JournalKind::kStarted, "started"},
    {JournalKind::kHandedBack, "handed_back"},
    {JournalKind::kFreed, "freed"},
    {JournalKind::kRetry, "retry"},
    {JournalKind::kSettled, "settled"},
    {JournalKind::kCancelAsked, "cancel_asked"},
    {JournalKind::kCancelled, "cancelled"},
    {JournalKind::kBatchCancelAsked, "batch_cancel_asked"},
    {JournalKind::kBatchDone, "batch_done"},
    {JournalKind::kSaid, "said"},
    {JournalKind::kBudgetSet, "budget_set"},
    {JournalKind::kBudgetDeleted, "budget_deleted"},
    {JournalKind::kParked, "parked"},
    {JournalKind::kAnswered, "answered"},
    {JournalKind::kUnanswered, "unanswered"},
    {JournalKind::kAccountShut, "account_shut"},
    {JournalKind::kAccountOpened, "account_opened"},
    {JournalKind::kHeld, "held"},
    {JournalKind::kAdjusted, "adjusted"},
    {JournalKind::kSwept, "swept"},
    {JournalKind::kPaused, "paused"},
    {JournalKind::kResumed, "resumed"},
    {JournalKind::kControlSet, "control_set"},
    {JournalKind::kScheduleSet, "schedule_set"},
    {JournalKind::kScheduleDeleted, "schedule_deleted"},
    {JournalKind::kFired, "fired"},
    {JournalKind::kNotFired, "not_fired"},
    {JournalKind::kUnblocked, "unblocked"},
    {JournalKind::kSkipped, "skipped"},
    {JournalKind::kTaskChanged, "task_changed"},
    {JournalKind::kExpired, "expired"},
    {JournalKind::kBatchRetried, "batch_retried"},
    {JournalKind::kCanaryPassed, "canary_passed"},
    {JournalKind::kCanaryFailed, "canary_failed"},
    {JournalKind::kStopped, "stopped"},
    {JournalKind::kHookDue, "hook_due"},
    {JournalKind::kHookDelivered, "hook_delivered"},
    {JournalKind::kHookGivenUp, "hook_given_up"},
    {JournalKind::kAtRisk, "at_risk"},
    {JournalKind::kBatchDeleted, "batch_deleted"},
    {JournalKind::kTasksDeleted, "tasks_deleted"},
};

// The parts of a key, into a write that has them.
template <typename W>
absl::Status ReadKey(const v1::BudgetKey& key, const Ids& ids, W& write,
                     FieldViolations& wrong) {
  write.scope = key.scope();
  write.window = key.window();
  if (!v1::BudgetWindow_IsValid(key.window()) ||
      key.window() == v1::BUDGET_WINDOW_UNSPECIFIED) {
    wrong.Add("key.window", "required: TOTAL, DAY or MONTH");
  }
  switch (key.scope()) {
    case v1::BUDGET_SCOPE_TENANT:
    case v1::BUDGET_SCOPE_QUEUE:
      wrong.Add(CheckName("key.name", key.name()));
      write.name = key.name();
      return absl::OkStatus();
    case v1::BUDGET_SCOPE_BATCH:
    case v1::BUDGET_SCOPE_TASK: {
      ASSIGN_OR_RETURN(write.row, ids.Parse("key.name", key.name()));
      return absl::OkStatus();
    }
    default:
      wrong.Add("key.scope", "required: TENANT, QUEUE, BATCH or TASK");
      return absl::OkStatus();
  }
}

absl::StatusOr<absl::Time> ToTime(const char* field,
                                  const google::protobuf::Timestamp& time) {
  RETURN_IF_ERROR(CheckInstant(field, time));
  return FromTimestamp(time);
}

}  // namespace

std::string NameOf(JournalKind kind) {
  for (const KindName& each : kKindNames) {
    if (each.kind == kind) return each.name;
  }
  return absl::StrCat("kind_", static_cast<int>(kind));
}

v1::Budget ToProto(const BudgetRecord& budget, const Ids& ids) {
  v1::Budget out;
  out.mutable_key()->set_scope(budget.scope);
  out.mutable_key()->set_name(
      budget.batch.has_value() ? ids.Format(*budget.batch) : budget.name);
  out.mutable_key()->set_window(budget.window);
  out.set_time_zone(budget.zone);
  out.set_limit_usd_micros(budget.limit);
  out.set_charged_usd_micros(budget.charged);
  out.set_reserved_usd_micros(budget.reserved);
  out.set_overshoot_usd_micros(budget.over);
  if (budget.window != v1::BUDGET_WINDOW_TOTAL) {
    *out.mutable_window_start() = ToTimestamp(budget.window_start);
    *out.mutable_window_end() = ToTimestamp(budget.window_end);
  }
  out.set_tasks_wait(budget.tasks_wait);
  return out;
}

v1::JournalEntry ToLedgerEntry(const JournalRecord& entry, const Ids& ids) {
  v1::JournalEntry out;
  out.set_sequence(entry.seq);
  *out.mutable_at() = ToTimestamp(entry.at);
  out.set_kind(NameOf(entry.kind));
  if (entry.batch_key.has_value()) {
    out.set_batch_id(ids.Format(*entry.batch_key));
  }
  if (entry.task.has_value()) out.set_task_id(ids.Format(*entry.task));
  out.set_task_name(entry.task_name);
  out.set_tenant(entry.tenant);
  out.set_queue(entry.queue);
  out.set_attempt(entry.attempt);
  out.set_state(entry.state);
  out.set_reserved_usd_micros(entry.reserve_delta);
  out.set_charged_usd_micros(entry.charge_delta);
  out.set_overshoot_usd_micros(entry.over_delta);
  out.set_reason(entry.why);
  return out;
}

absl::StatusOr<SetBudget> FromProto(const v1::SetBudgetRequest& request,
                                    const Ids& ids, absl::Time now) {
  FieldViolations wrong;
  SetBudget write;
  RETURN_IF_ERROR(ReadKey(request.key(), ids, write, wrong));
  write.limit = request.limit_usd_micros();
  bool of_task = write.scope == v1::BUDGET_SCOPE_TASK;
  int64_t least = of_task ? kMaxCostMin : 0;
  int64_t most = of_task ? kTaskLimitMax : kLimitMax;
  if (write.limit < least || write.limit > most) {
    wrong.Add("limit_usd_micros", write.limit, "; expected ", least, " to ",
              most);
  }
  if (of_task && write.window != v1::BUDGET_WINDOW_TOTAL) {
    wrong.Add("key.window", "a task's budget is of the window TOTAL");
  }
  if (write.window == v1::BUDGET_WINDOW_TOTAL) {
    if (!request.time_zone().empty()) {
      wrong.Add("time_zone", "a total has none");
    }
  } else {
    write.zone = request.time_zone().empty() ? "UTC" : request.time_zone();
    wrong.Add(WindowAt(write.window, write.zone, now).status());
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

absl::StatusOr<DeleteBudget> FromProto(const v1::DeleteBudgetRequest& request,
                                       const Ids& ids) {
  FieldViolations wrong;
  DeleteBudget write;
  RETURN_IF_ERROR(ReadKey(request.key(), ids, write, wrong));
  if (write.scope == v1::BUDGET_SCOPE_TASK) {
    wrong.Add("key.scope", "a task always has its max_cost; set another");
  }
  RETURN_IF_ERROR(wrong.ToStatus());
  return write;
}

absl::StatusOr<MoneyFilter> FromProto(const v1::ListJournalRequest& request,
                                      const Ids& ids) {
  MoneyFilter filter;
  if (!request.batch_id().empty()) {
    ASSIGN_OR_RETURN(filter.batch, ids.Parse("batch_id", request.batch_id()));
  }
  if (!request.task_id().empty()) {
    ASSIGN_OR_RETURN(filter.task, ids.Parse("task_id", request.task_id()));
  }
  filter.tenant = request.tenant();
  filter.queue = request.queue();
  if (request.has_from()) {
    ASSIGN_OR_RETURN(filter.from, ToTime("from", request.from()));
  }
  if (request.has_until()) {
    ASSIGN_OR_RETURN(filter.until, ToTime("until", request.until()));
  }
  filter.money_only = request.money_only();
  for (const std::string& name : request.kinds()) {
    bool known = false;
    for (const KindName& each : kKindNames) {
      if (name != each.name) continue;
      filter.kinds.push_back(each.kind);
      known = true;
    }
    if (!known) {
      std::string names;
      for (const KindName& each : kKindNames) {
        absl::StrAppend(&names, names.empty() ? "" : ", ", each.name);
      }
      return Bad("kinds: '", name, "' is none; there are ", names);
    }
  }
  return filter;
}

}  // namespace midwatch
