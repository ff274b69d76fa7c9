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

}  // namespace

std::vector<RowKey> BatchesToDelete(const RetentionRules& rules,
                                    std::vector<EndedBatch> ended,
                                    absl::Time now) {
  std::sort(ended.begin(), ended.end(),
            [](const EndedBatch& a, const EndedBatch& b) {
              return std::tuple(a.ended_at, a.key.row) <
                     std::tuple(b.ended_at, b.key.row);
            });
  std::map<int64_t, int64_t> newer;  // in each queue
  std::vector<RowKey> batches;
  for (auto batch = ended.rbegin(); batch != ended.rend(); ++batch) {
    const int64_t before = newer[batch->queue]++;
    const bool old = now - batch->ended_at > rules.keep_for;
    const bool many = rules.keep_newest && before >= *rules.keep_newest;
    if (old || many) batches.push_back(batch->key);
  }
  std::reverse(batches.begin(), batches.end());
  return batches;
}

Retention::Retention(Executor& executor, const Clock& clock, Store& store,
                     Ids ids, RetentionRules rules)
    : executor_(executor),
      clock_(clock),
      store_(store),
      ids_(ids),
      rules_(rules) {}

void Retention::Start(const std::vector<RowKey>& deleting) {
  for (RowKey batch : deleting) {
    waiting_[batch.row];
    Step(batch, "", /*begun=*/true);
  }
  if (rules_.any()) LookIn(kFirstLook);
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
  executor_.After(wait, [this] { Look(0, {}); });
}

void Retention::Look(int64_t after, std::vector<EndedBatch> ended) {
  store_.Read<RowPage<EndedBatch>>(
      [after](StoreReader& reader) {
        return reader.ListEndedBatches(after, kEndedPageRows);
      },
      [this, ended = std::move(ended)](
          absl::StatusOr<RowPage<EndedBatch>> page) mutable {
        if (!page.ok()) {
          LogWarning("old batches not looked for",
                     {{"why", page.status().message()}});
          return LookIn(kLookEvery);
        }
        ended.insert(ended.end(), page->rows.begin(), page->rows.end());
        if (page->next) return Look(*page->next, std::move(ended));
        DeleteAll(std::make_shared<const std::vector<RowKey>>(
                      BatchesToDelete(rules_, std::move(ended), clock_.Now())),
                  0);
      });
}

void Retention::DeleteAll(std::shared_ptr<const std::vector<RowKey>> batches,
                          size_t next) {
  if (next == batches->size()) return LookIn(kLookEvery);
  Delete(
      (*batches)[next], kRetentionReason,
      [this, batches, next](absl::StatusOr<int64_t> deleted) {
        // One that is needed yet is looked at again in an hour.
        if (!deleted.ok()) {
          LogInfo("batch kept", {{"batch", ids_.Format((*batches)[next])},
                                 {"why", deleted.status().message()}});
        }
        executor_.Post([this, batches, next] { DeleteAll(batches, next + 1); });
      });
}

}  // namespace midwatch
