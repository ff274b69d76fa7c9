// What the start of one task depends on: searches by its id and its lane, and
// counts that end at kStandingCountMax.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "store/budget_window.h"
#include "store/queue_reader.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// What a session's budget is at least, and so what a start sets aside.
constexpr int64_t kReserveMin = 10'000;
constexpr int kOtherQueuesMax = 64;

struct LaneRow {
  int64_t id = 0, tenant = 0, queue = 0, batch = 0, account = 0;
  bool canary = false;
  std::string key;
  std::optional<int64_t> rank;  // the task's
};

absl::StatusOr<LaneRow> FindLane(Sqlite& db, int64_t task) {
  SqliteStatement row = db.Query(
      "SELECT l.id, l.tenant, l.queue, l.batch, l.account, l.ckey, l.canary, "
      "t.rank "
      "FROM task t JOIN lane l ON l.id = t.lane WHERE t.id = ?",
      task);
  LaneRow lane;
  if (row.Step()) {
    lane = {.id = row.Int(0),
            .tenant = row.Int(1),
            .queue = row.Int(2),
            .batch = row.Int(3),
            .account = row.Int(4),
            .canary = row.Int(6) != 0,
            .key = row.Text(5),
            .rank = {}};
    if (!row.IsNull(7)) lane.rank = row.Int(7);
  }
  RETURN_IF_ERROR(row.status());
  if (lane.id == 0) return absl::DataLossError("the task's lane is missing");
  return lane;
}

absl::StatusOr<std::string> NameOfLabel(Sqlite& db, int64_t label) {
  SqliteStatement row = db.Query("SELECT name FROM label WHERE id = ?", label);
  std::string name;
  if (row.Step()) name = row.Text(0);
  RETURN_IF_ERROR(row.status());
  return name;
}

absl::Status AddHolder(Sqlite& db, TaskStanding& standing) {
  SqliteStatement row = db.Query(
      "SELECT v.granted_at, v.held_at, w.info FROM live v "
      "LEFT JOIN worker w ON w.id = v.worker WHERE v.task = ?",
      standing.task.key.row);
  if (row.Step()) {
    standing.granted_at = absl::FromUnixMicros(row.Int(0));
    standing.held = !row.IsNull(1);
    standing.worker = row.Text(2);
  }
  return row.status();
}

absl::Status AddBatch(Sqlite& db, const LaneRow& lane, TaskStanding& standing) {
  if (lane.batch == 0) return absl::OkStatus();
  SqliteStatement row = db.Query(
      "SELECT name, state, running + cancelling, max_running, paused_at, "
      "pause_why, pause_until, canary, canary_tasks, "
      "canary_good + canary_bad + canary_out FROM batch WHERE id = ?",
      lane.batch);
  if (row.Step()) {
    standing.batch_name = row.Text(0);
    standing.batch_state = static_cast<v1::BatchState>(row.Int(1));
    if (row.Int(3) > 0) {
      standing.caps.push_back(
          {v1::CAP_SCOPE_BATCH, standing.batch_name, row.Int(2), row.Int(3)});
    }
    standing.batch_pause = ReadPause(row, 4);
    if (!lane.canary && row.Int(7) == v1::CANARY_VERDICT_UNDECIDED) {
      standing.canary_tasks = row.Int(8);
      standing.canary_over = row.Int(9);
    }
  }
  return row.status();
}

absl::Status AddControls(Sqlite& db, const LaneRow& lane,
                         TaskStanding& standing) {
  const struct {
    v1::CapScope scope;
    int64_t label;
    const std::string& name;
  } scopes[] = {{v1::CAP_SCOPE_QUEUE, lane.queue, standing.task.queue},
                {v1::CAP_SCOPE_TENANT, lane.tenant, standing.tenant},
                {v1::CAP_SCOPE_ACCOUNT, lane.account, standing.account}};
  for (const auto& scope : scopes) {
    SqliteStatement row = db.Query(
        "SELECT max_running, running, paused_at, pause_why, pause_until "
        "FROM control WHERE label = ?",
        scope.label);
    if (row.Step()) {
      if (row.Int(0) > 0) {
        standing.caps.push_back(
            {scope.scope, scope.name, row.Int(1), row.Int(0)});
      }
      if (scope.scope == v1::CAP_SCOPE_QUEUE) {
        standing.queue_pause = ReadPause(row, 2);
      }
    }
    RETURN_IF_ERROR(row.status());
  }
  SqliteStatement row = db.Query(
      "SELECT state, why, since, until, next_probe FROM account "
      "WHERE label = ?",
      lane.account);
  if (row.Step()) standing.account_standing = ReadStanding(row, 0);
  return row.status();
}

absl::Status AddBudgets(Sqlite& db, const LaneRow& lane, absl::Time now,
                        TaskStanding& standing) {
  std::vector<std::pair<int64_t, std::string>> found;  // id, zone
  {
    SqliteStatement row = db.Query(
        "SELECT id, scope, win, zone, lim FROM budget WHERE "
        "(scope = 1 AND ref = ?) OR (scope = 2 AND ref = ?) OR "
        "(scope = 3 AND ref = ?)",
        lane.tenant, lane.queue, lane.batch);
    while (row.Step()) {
      StandingBudget& budget = standing.budgets.emplace_back();
      budget.scope = static_cast<v1::BudgetScope>(row.Int(1));
      budget.window = static_cast<v1::BudgetWindow>(row.Int(2));
      budget.limit = row.Int(4);
      budget.name = budget.scope == v1::BUDGET_SCOPE_TENANT ? standing.tenant
                    : budget.scope == v1::BUDGET_SCOPE_QUEUE
                        ? standing.task.queue
                        : standing.batch_name;
      found.emplace_back(row.Int(0), row.Text(3));
    }
    RETURN_IF_ERROR(row.status());
  }
  for (size_t i = 0; i < found.size(); ++i) {
    StandingBudget& budget = standing.budgets[i];
    ASSIGN_OR_RETURN(TimeWindow window,
                     WindowAt(budget.window, found[i].second, now));
    budget.window_end = window.end;
    SqliteStatement row = db.Query(
        "SELECT charged, reserved FROM balance "
        "WHERE budget = ? AND start <= ? AND until > ? "
        "ORDER BY start DESC LIMIT 1",
        found[i].first, absl::ToUnixMicros(now), absl::ToUnixMicros(now));
    if (row.Step()) {
      budget.charged = row.Int(0);
      budget.reserved = row.Int(1);
    }
    RETURN_IF_ERROR(row.status());
  }
  return absl::OkStatus();
}

// The first task of the lane, which the others stand behind.
absl::Status AddHead(Sqlite& db, const LaneRow& lane, TaskStanding& standing) {
  SqliteStatement row = db.Query(
      "SELECT r.task, max(t.max_cost - t.charged, ?) FROM ready r "
      "JOIN task t ON t.id = r.task WHERE r.lane = ? ORDER BY r.rank LIMIT 1",
      kReserveMin, lane.id);
  if (row.Step()) {
    standing.is_first = row.Int(0) == standing.task.key.row;
    standing.lane_wants = row.Int(1);
  }
  return row.status();
}

absl::Status AddKeyHolder(Sqlite& db, const LaneRow& lane,
                          TaskStanding& standing) {
  standing.concurrency_key = lane.key;
  if (lane.key.empty()) return absl::OkStatus();
  {
    SqliteStatement row = db.Query(
        "SELECT max_running FROM key_cap WHERE tenant = ? AND ckey = ?",
        lane.tenant, lane.key);
    if (row.Step()) standing.key_max = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  int64_t busy = 0, running = 0;
  {
    SqliteStatement row = db.Query(
        "SELECT id, running FROM lane WHERE tenant = ? AND ckey = ? "
        "AND ckey != '' AND running > 0",
        lane.tenant, lane.key);
    while (row.Step()) {
      busy = row.Int(0);
      running += row.Int(1);
    }
    RETURN_IF_ERROR(row.status());
  }
  if (running < standing.key_max) return absl::OkStatus();
  standing.key_holder = "another one";
  // Of what is on, by its tasks' ids: a lane does not know its running task.
  SqliteStatement row = db.Query(
      "SELECT t.lane, t.name FROM live v JOIN task t ON t.id = v.task "
      "WHERE v.task > 0 LIMIT ?",
      kStandingCountMax);
  while (row.Step()) {
    if (row.Int(0) != busy) continue;
    standing.key_holder = row.Text(1);
    break;
  }
  return row.status();
}

// Lanes that stand blocked are not before it, but for its own.
absl::Status CountBefore(Sqlite& db, const LaneRow& lane,
                         TaskStanding& standing) {
  std::vector<int64_t> lanes = {lane.id};
  {
    SqliteStatement row = db.Query(
        "SELECT id FROM lane WHERE account = ? AND tenant = ? AND queue = ? "
        "AND blocked = 0 AND head IS NOT NULL AND head <= ? "
        "ORDER BY head LIMIT ?",
        lane.account, lane.tenant, lane.queue, *lane.rank, kStandingCountMax);
    while (row.Step()) {
      if (row.Int(0) != lane.id) lanes.push_back(row.Int(0));
    }
    RETURN_IF_ERROR(row.status());
  }
  const int64_t task = standing.task.key.row;
  for (int64_t each : lanes) {
    const int64_t left = kStandingCountMax + 1 - standing.before;
    if (left <= 0) break;
    // Of equal ranks the lower task of a lane and the lower lane go first.
    const int64_t until = each == lane.id  ? task
                          : each < lane.id ? INT64_MAX
                                           : 0;
    SqliteStatement row = db.Query(
        "SELECT 1 FROM ready WHERE lane = ? AND (rank, task) < (?, ?) LIMIT ?",
        each, *lane.rank, until, left);
    while (row.Step()) ++standing.before;
    RETURN_IF_ERROR(row.status());
  }
  standing.more_before = standing.before > kStandingCountMax;
  standing.before = std::min<int64_t>(standing.before, kStandingCountMax);
  return absl::OkStatus();
}

// From one queue of a tenant to the next, as admission walks over them.
absl::Status CountOtherQueues(Sqlite& db, const LaneRow& lane,
                              TaskStanding& standing) {
  int64_t tenant = 0, queue = 0;
  while (standing.other_queues < kOtherQueuesMax) {
    std::optional<std::pair<int64_t, int64_t>> next;
    {
      SqliteStatement row = db.Query(
          "SELECT queue FROM lane WHERE account = ? AND tenant = ? "
          "AND queue > ? AND blocked = 0 AND head IS NOT NULL "
          "ORDER BY queue LIMIT 1",
          lane.account, tenant, queue);
      if (row.Step()) next.emplace(tenant, row.Int(0));
      RETURN_IF_ERROR(row.status());
    }
    if (!next) {
      SqliteStatement row = db.Query(
          "SELECT tenant, queue FROM lane WHERE account = ? AND tenant > ? "
          "AND blocked = 0 AND head IS NOT NULL "
          "ORDER BY tenant, queue LIMIT 1",
          lane.account, tenant);
      if (row.Step()) next.emplace(row.Int(0), row.Int(1));
      RETURN_IF_ERROR(row.status());
    }
    if (!next) return absl::OkStatus();
    std::tie(tenant, queue) = *next;
    const bool own = tenant == lane.tenant && queue == lane.queue;
    if (!own) ++standing.other_queues;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TaskStanding> SqliteReader::ReadTaskStanding(RowKey task,
                                                            absl::Time now) {
  TaskStanding standing;
  ASSIGN_OR_RETURN(standing.task, GetTask(task));
  Sqlite& db = *queue_;
  ASSIGN_OR_RETURN(LaneRow lane, FindLane(db, task.row));
  ASSIGN_OR_RETURN(standing.tenant, NameOfLabel(db, lane.tenant));
  ASSIGN_OR_RETURN(standing.account, NameOfLabel(db, lane.account));
  RETURN_IF_ERROR(AddHolder(db, standing));
  RETURN_IF_ERROR(AddBatch(db, lane, standing));
  RETURN_IF_ERROR(AddControls(db, lane, standing));
  if (standing.task.state != v1::TASK_STATE_QUEUED) return standing;
  standing.ready = lane.rank.has_value();
  RETURN_IF_ERROR(AddBudgets(db, lane, now, standing));
  RETURN_IF_ERROR(AddKeyHolder(db, lane, standing));
  if (!standing.ready) return standing;
  RETURN_IF_ERROR(AddHead(db, lane, standing));
  RETURN_IF_ERROR(CountBefore(db, lane, standing));
  RETURN_IF_ERROR(CountOtherQueues(db, lane, standing));
  return standing;
}

absl::StatusOr<KindRecord> SqliteReader::ReadKind(const std::string& kind) {
  KindRecord record;
  int64_t id = 0;
  {
    SqliteStatement row = queue_->Query(
        "SELECT samples, cost_p50, cost_p90, time_p50, time_p90, dearest, id "
        "FROM kind WHERE hash = ?",
        kind);
    if (row.Step()) {
      record.forecast = ReadForecast(row, 0);
      record.dearest = row.Int(5);
      id = row.Int(6);
    }
    RETURN_IF_ERROR(row.status());
  }
  if (record.forecast.samples == 0) return record;
  SqliteStatement row = queue_->Query(
      "SELECT cost, time FROM sample WHERE kind = ? ORDER BY place", id);
  while (row.Step()) record.samples.push_back({row.Int(0), row.Int(1)});
  RETURN_IF_ERROR(row.status());
  return record;
}

}  // namespace midwatch
