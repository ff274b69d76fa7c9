// Which batches and which single tasks are deleted by themselves, and how any
// batch is: step by step, with room for other writes between two.
#ifndef MIDWATCH_SCHEDULER_RETENTION_H_
#define MIDWATCH_SCHEDULER_RETENTION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "scheduler/to_proto.h"
#include "store/store.h"

namespace midwatch {

// Of batches, or of single tasks. Each by itself makes some go.
struct RetentionRules {
  // How long one stays after it is done.
  absl::Duration keep_for = absl::InfiniteDuration();
  // How many of each queue that are done stay: those that ended last.
  std::optional<int64_t> keep_newest;

  bool any() const {
    return keep_for < absl::InfiniteDuration() || keep_newest.has_value();
  }
};

struct RetentionOptions {
  RetentionRules batches, tasks;
};

// Those of `ended` that may go at `now`, the one that ended first in front.
// A pure function.
std::vector<RowKey> EndedToDelete(const RetentionRules& rules,
                                  std::vector<Ended> ended, absl::Time now);

// Lives on one executor; all calls on its thread, and all answers come on it.
// `executor`, `clock` and `store` outlive it. Destroy it after its executor has
// stopped.
class Retention {
 public:
  // Between two writes of one deletion, or of single tasks' ones.
  static constexpr absl::Duration kPause = absl::Milliseconds(20);
  // Between two looks at what the rules let go, and before the first.
  static constexpr absl::Duration kLookEvery = absl::Hours(1);
  static constexpr absl::Duration kFirstLook = absl::Seconds(10);

  Retention(Executor& executor, const Clock& clock, Store& store, Ids ids,
            RetentionOptions options);

  // Goes on with deletions that are under way, and begins to look.
  void Start(const std::vector<RowKey>& deleting);

  // Deletes a batch: how many tasks it had, once all of it is gone. Errors are
  // those of midwatch::DeleteBatch, before anything is deleted; once it has
  // begun it goes on through failures. Again meanwhile: waits for the end.
  using DeletedCallback = absl::AnyInvocable<void(absl::StatusOr<int64_t>)>;
  void Delete(RowKey batch, std::string reason, DeletedCallback done);

 private:
  using Keys = std::shared_ptr<const std::vector<RowKey>>;

  void Step(RowKey batch, std::string reason, bool begun);
  void End(RowKey batch, const absl::StatusOr<int64_t>& tasks);
  void LookIn(absl::Duration wait);
  // Each goes on with the page after `after`.
  void LookAtBatches(int64_t after, std::vector<Ended> ended);
  // `state` is the place of theirs among those that are final.
  void LookAtTasks(size_t state, int64_t after, std::vector<Ended> ended);
  // One after the other, or some with each write, from `next` on.
  void DeleteBatches(Keys batches, size_t next);
  void DeleteTasks(Keys tasks, size_t next);

  Executor& executor_;
  const Clock& clock_;
  Store& store_;
  const Ids ids_;
  const RetentionOptions options_;
  // By row: who waits for the ends of the deletions that are under way.
  std::map<int64_t, std::vector<DeletedCallback>> waiting_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_RETENTION_H_
