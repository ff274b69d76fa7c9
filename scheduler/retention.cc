#include "scheduler/retention.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/log.h"

namespace midwatch {
namespace {

constexpr int kEndedPageRows = 1'000;
constexpr char kRetentionReason[] = "older than the scheduler keeps";
constexpr v1::TaskState kFinalStates[] = {
    v1::TASK_STATE_SUCCEEDED, v1::TASK_STATE_FAILED, v1::TASK_STATE_CANCELLED,
    v1::TASK_STATE_SKIPPED};

}  // namespace

std::vector<RowKey> EndedToDelete(const RetentionRules& rules,
                                  std::vector<Ended> ended, absl::Time now) {
  std::sort(ended.begin(), ended.end(), [](const Ended& a, const Ended& b) {
    return std::tuple(a.ended_at, a.key.row) <
           std::tuple(b.ended_at, b.key.row);
  });
  std::map<int64_t, int64_t> newer;  // in each queue
  std::vector<RowKey> keys;
  for (auto each = ended.rbegin(); each != ended.rend(); ++each) {
    const int64_t before = newer[each->queue]++;
    const bool old = now - each->ended_at > rules.keep_for;
    const bool many = rules.keep_newest && before >= *rules.keep_newest;
    if (old || many) keys.push_back(each->key);
  }
  std::reverse(keys.begin(), keys.end());
  return keys;
}

Retention::Retention(Executor& executor, const Clock& clock, Store& store,
                     Ids ids, RetentionOptions options)
    : executor_(executor),
      clock_(clock),
      store_(store),
      ids_(ids),
      options_(options) {}

void Retention::Start(const std::vector<RowKey>& deleting) {
  for (RowKey batch : deleting) {
    waiting_[batch.row];
    Step(batch, "", /*begun=*/true);
  }
  if (options_.batches.any() || options_.tasks.any()) LookIn(kFirstLook);
}

void Retention::Delete(RowKey batch, std::string reason, DeletedCallback done) {
  const bool begins = !waiting_.contains(batch.row);
  waiting_[batch.row].push_back(std::move(done));
  if (begins) Step(batch, std::move(reason), /*begun=*/false);
}

void Retention::Step(RowKey batch, std::string reason, bool begun) {
  auto go_on = [this, batch, reason](absl::Duration wait) {
    executor_.After(
        wait, [this, batch, reason] { Step(batch, reason, /*begun=*/true); });
  };
  store_.Apply(
      midwatch::DeleteBatch{batch, reason},
      [this, batch, begun, go_on](absl::StatusOr<BatchDeleted> deleted) {
        if (deleted.ok() && deleted->more) return go_on(kPause);
        if (deleted.ok()) {
          LogInfo("batch deleted",
                  {{"batch", ids_.Format(batch)}, {"tasks", deleted->tasks}});
          return End(batch, deleted->tasks);
        }
        if (!begun || absl::IsNotFound(deleted.status())) {
          return End(batch, deleted.status());
        }
        LogError("deletion stands still",
                 {{"batch", ids_.Format(batch)},
                  {"why", deleted.status().message()}});
        go_on(absl::Seconds(1));
      });
}

void Retention::End(RowKey batch, const absl::StatusOr<int64_t>& tasks) {
  auto waiting = waiting_.extract(batch.row);
  for (DeletedCallback& done : waiting.mapped()) done(tasks);
}

void Retention::LookIn(absl::Duration wait) {
  executor_.After(wait, [this] {
    if (options_.batches.any()) return LookAtBatches(0, {});
    LookAtTasks(0, 0, {});
  });
}

void Retention::LookAtBatches(int64_t after, std::vector<Ended> ended) {
  store_.Read<RowPage<Ended>>(
      [after](StoreReader& reader) {
        return reader.ListEndedBatches(after, kEndedPageRows);
      },
      [this,
       ended = std::move(ended)](absl::StatusOr<RowPage<Ended>> page) mutable {
        if (!page.ok()) {
          LogWarning("old batches not looked for",
                     {{"why", page.status().message()}});
          return LookIn(kLookEvery);
        }
        ended.insert(ended.end(), page->rows.begin(), page->rows.end());
        if (page->next) return LookAtBatches(*page->next, std::move(ended));
        DeleteBatches(std::make_shared<const std::vector<RowKey>>(EndedToDelete(
                          options_.batches, std::move(ended), clock_.Now())),
                      0);
      });
}

void Retention::DeleteBatches(Keys batches, size_t next) {
  if (next == batches->size()) {
    return options_.tasks.any() ? LookAtTasks(0, 0, {}) : LookIn(kLookEvery);
  }
  Delete((*batches)[next], kRetentionReason,
         [this, batches, next](absl::StatusOr<int64_t> deleted) {
           // One that is needed yet is looked at again in an hour.
           if (!deleted.ok()) {
             LogInfo("batch kept", {{"batch", ids_.Format((*batches)[next])},
                                    {"why", deleted.status().message()}});
           }
           executor_.Post(
               [this, batches, next] { DeleteBatches(batches, next + 1); });
         });
}

void Retention::LookAtTasks(size_t state, int64_t after,
                            std::vector<Ended> ended) {
  store_.Read<RowPage<Ended>>(
      [state, after](StoreReader& reader) {
        return reader.ListEndedTasks(kFinalStates[state], after,
                                     kEndedPageRows);
      },
      [this, state,
       ended = std::move(ended)](absl::StatusOr<RowPage<Ended>> page) mutable {
        if (!page.ok()) {
          LogWarning("old tasks not looked for",
                     {{"why", page.status().message()}});
          return LookIn(kLookEvery);
        }
        ended.insert(ended.end(), page->rows.begin(), page->rows.end());
        if (page->next)
          return LookAtTasks(state, *page->next, std::move(ended));
        if (state + 1 < std::size(kFinalStates)) {
          return LookAtTasks(state + 1, 0, std::move(ended));
        }
        DeleteTasks(std::make_shared<const std::vector<RowKey>>(EndedToDelete(
                        options_.tasks, std::move(ended), clock_.Now())),
                    0);
      });
}

void Retention::DeleteTasks(Keys tasks, size_t next) {
  if (next == tasks->size()) return LookIn(kLookEvery);
  const size_t end =
      std::min(tasks->size(), next + static_cast<size_t>(kDeletedTasksMax));
  midwatch::DeleteTasks write;
  write.tasks.assign(tasks->begin() + static_cast<ptrdiff_t>(next),
                     tasks->begin() + static_cast<ptrdiff_t>(end));
  write.reason = kRetentionReason;
  store_.Apply(std::move(write), [this, tasks,
                                  next](absl::StatusOr<TasksDeleted> deleted) {
    if (!deleted.ok()) {
      LogWarning("old tasks not deleted",
                 {{"why", deleted.status().message()}});
      return LookIn(kLookEvery);
    }
    // Those that are needed yet are looked at again in an hour.
    if (!deleted->kept.empty()) {
      LogInfo("tasks kept", {{"tasks", deleted->kept.size()},
                             {"first", ids_.Format(deleted->kept.front())},
                             {"why", deleted->why}});
    }
    const size_t then = next + deleted->looked_at;
    if (then == tasks->size())
      LogInfo("old tasks deleted", {{"looked_at", then}});
    executor_.After(kPause, [this, tasks, then] { DeleteTasks(tasks, then); });
  });
}

}  // namespace midwatch
