// Queues and tenants, with what is set of them and how many tasks they have.
#include <algorithm>
#include <map>
#include <utility>

#include "base/status_macros.h"
#include "store/queue_reader.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Queued tasks are counted so far and no further: there may be millions.
constexpr int64_t kCountMax = 10'000;

#define MIDWATCH_CONTROL_COLUMNS                                        \
  "SELECT l.id, l.name, ifnull(c.weight, 1), ifnull(c.max_running, 0)," \
  "c.paused_at, c.pause_why, c.pause_until FROM label l "               \
  "LEFT JOIN control c ON c.label = l.id "

// A row of those columns.
struct Controls {
  int64_t label = 0;
  QueueRecord as_queue;
  TenantRecord as_tenant;
};

Controls ReadControls(const SqliteStatement& row) {
  Controls controls;
  controls.label = row.Int(0);
  QueueRecord& queue = controls.as_queue;
  queue.name = row.Text(1);
  queue.weight = static_cast<int32_t>(row.Int(2));
  queue.max_running = static_cast<int32_t>(row.Int(3));
  queue.pause = ReadPause(row, 4);
  controls.as_tenant = {queue.name, queue.weight, queue.max_running};
  return controls;
}

absl::StatusOr<std::vector<Controls>> ReadAllControls(SqliteStatement row) {
  std::vector<Controls> all;
  while (row.Step()) all.push_back(ReadControls(row));
  RETURN_IF_ERROR(row.status());
  return all;
}

absl::StatusOr<std::vector<Controls>> ListControls(Sqlite& db, int kind,
                                                   const std::string& after,
                                                   int limit) {
  return ReadAllControls(
      db.Query(MIDWATCH_CONTROL_COLUMNS
               "WHERE l.kind = ? AND l.name > ? ORDER BY l.name LIMIT ?",
               kind, after, limit));
}

absl::StatusOr<Controls> FindControls(Sqlite& db, int kind,
                                      const std::string& name) {
  ASSIGN_OR_RETURN(std::vector<Controls> found,
                   ReadAllControls(db.Query(MIDWATCH_CONTROL_COLUMNS
                                            "WHERE l.kind = ? AND l.name = ?",
                                            kind, name)));
  if (!found.empty()) return std::move(found[0]);
  return absl::NotFoundError(
      kind == kQueueLabel
          ? "no such queue: no task, no budget and no call has named it"
          : "no such tenant: no task, no budget and no call has named it");
}

}  // namespace

std::optional<PauseRecord> ReadPause(const SqliteStatement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  PauseRecord pause{.why = row.Text(column + 1),
                    .since = absl::FromUnixMicros(row.Int(column))};
  if (!row.IsNull(column + 2)) {
    pause.until = absl::FromUnixMicros(row.Int(column + 2));
  }
  return pause;
}

// What runs is walked once for all of them, and so are the lanes.
absl::Status SqliteReader::CountTasks(const std::vector<int64_t>& labels,
                                      std::vector<QueueRecord*> queues) {
  std::map<int64_t, QueueRecord*> by_label;
  for (size_t i = 0; i < labels.size(); ++i) by_label[labels[i]] = queues[i];
  auto find = [&](int64_t label) -> QueueRecord* {
    auto found = by_label.find(label);
    return found == by_label.end() ? nullptr : found->second;
  };
  {
    SqliteStatement row = queue_->Query(
        "SELECT t.queue, sum(v.parked_at IS NULL AND v.cancelling = 0), "
        "sum(v.parked_at IS NOT NULL), sum(v.cancelling) "
        "FROM live v JOIN task t ON t.id = v.task GROUP BY t.queue");
    while (row.Step()) {
      QueueRecord* queue = find(row.Int(0));
      if (queue == nullptr) continue;
      queue->counts[v1::TASK_STATE_RUNNING] = row.Int(1);
      queue->counts[v1::TASK_STATE_WAITING] = row.Int(2);
      queue->counts[v1::TASK_STATE_CANCELLING] = row.Int(3);
    }
    RETURN_IF_ERROR(row.status());
  }
  {
    SqliteStatement row = queue_->Query(
        "SELECT queue, count(*) FROM lane WHERE head IS NOT NULL "
        "GROUP BY queue");
    while (row.Step()) {
      if (QueueRecord* queue = find(row.Int(0))) {
        queue->waiting_lanes = row.Int(1);
      }
    }
    RETURN_IF_ERROR(row.status());
  }
  for (const auto& [label, queue] : by_label) {
    SqliteStatement row = queue_->Query(
        "SELECT count(*) FROM (SELECT 1 FROM task WHERE queue = ? "
        "AND state = 2 AND state NOT IN (3, 5) LIMIT ?)",
        label, kCountMax + 1);
    const int64_t queued = row.Step() ? row.Int(0) : 0;
    RETURN_IF_ERROR(row.status());
    queue->more_queued = queued > kCountMax;
    queue->counts[v1::TASK_STATE_QUEUED] = std::min(queued, kCountMax);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<int64_t, int64_t>> SqliteReader::RunningByTenant() {
  std::map<int64_t, int64_t> running;
  SqliteStatement row = queue_->Query(
      "SELECT l.tenant, count(*) FROM live v JOIN task t ON t.id = v.task "
      "JOIN lane l ON l.id = t.lane WHERE v.parked_at IS NULL "
      "GROUP BY l.tenant");
  while (row.Step()) running[row.Int(0)] = row.Int(1);
  RETURN_IF_ERROR(row.status());
  return running;
}

absl::StatusOr<std::vector<QueueRecord>> SqliteReader::ListQueues(
    const std::string& after, int limit) {
  ASSIGN_OR_RETURN(std::vector<Controls> found,
                   ListControls(*queue_, kQueueLabel, after, limit));
  std::vector<QueueRecord> queues;
  std::vector<int64_t> labels;
  for (Controls& each : found) {
    queues.push_back(std::move(each.as_queue));
    labels.push_back(each.label);
  }
  std::vector<QueueRecord*> counted;
  for (QueueRecord& queue : queues) counted.push_back(&queue);
  RETURN_IF_ERROR(CountTasks(labels, counted));
  return queues;
}

absl::StatusOr<QueueRecord> SqliteReader::GetQueue(const std::string& name) {
  ASSIGN_OR_RETURN(Controls found, FindControls(*queue_, kQueueLabel, name));
  RETURN_IF_ERROR(CountTasks({found.label}, {&found.as_queue}));
  return std::move(found.as_queue);
}

absl::StatusOr<std::vector<TenantRecord>> SqliteReader::ListTenants(
    const std::string& after, int limit) {
  ASSIGN_OR_RETURN(std::vector<Controls> found,
                   ListControls(*queue_, kTenantLabel, after, limit));
  auto running = RunningByTenant();
  RETURN_IF_ERROR(running.status());
  std::vector<TenantRecord> tenants;
  for (Controls& each : found) {
    each.as_tenant.running = (*running)[each.label];
    tenants.push_back(std::move(each.as_tenant));
  }
  return tenants;
}

absl::StatusOr<TenantRecord> SqliteReader::GetTenant(const std::string& name) {
  ASSIGN_OR_RETURN(Controls found, FindControls(*queue_, kTenantLabel, name));
  auto running = RunningByTenant();
  RETURN_IF_ERROR(running.status());
  found.as_tenant.running = (*running)[found.label];
  return std::move(found.as_tenant);
}

absl::StatusOr<std::vector<KeyRecord>> SqliteReader::ListKeyCaps(
    const std::string& tenant) {
  std::vector<KeyRecord> keys;
  SqliteStatement row = queue_->Query(
      "SELECT c.ckey, c.max_running, (SELECT sum(running) FROM lane n "
      "WHERE n.tenant = c.tenant AND n.ckey = c.ckey AND n.ckey != '') "
      "FROM label l JOIN key_cap c ON c.tenant = l.id "
      "WHERE l.kind = ? AND l.name = ? ORDER BY c.ckey",
      static_cast<int>(kTenantLabel), tenant);
  while (row.Step()) {
    keys.push_back({row.Text(0), static_cast<int32_t>(row.Int(1)), row.Int(2)});
  }
  RETURN_IF_ERROR(row.status());
  return keys;
}

}  // namespace midwatch
