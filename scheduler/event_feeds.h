// Followers of tasks' events. Each reads what is stored from its own place, so
// one that was slow, or that comes back with a token, sees the same as one that
// never left.
#ifndef MIDWATCH_SCHEDULER_EVENT_FEEDS_H_
#define MIDWATCH_SCHEDULER_EVENT_FEEDS_H_

#include <cstdint>
#include <map>
#include <memory>

#include "base/executor.h"
#include "midwatch/v1/task_service.pb.h"
#include "scheduler/reply.h"
#include "scheduler/to_proto.h"
#include "store/store.h"

namespace midwatch {

// Lives on the scheduler's executor.
class EventFeeds {
 public:
  using Sink = StreamSink<v1::FollowTaskEventsResponse>;

  EventFeeds(Executor& executor, Store& store)
      : executor_(executor), store_(store), ids_(store.cluster()) {}

  void Follow(const v1::FollowTaskEventsRequest& request,
              std::shared_ptr<Sink> sink);
  // The carrier of a feed has lost it.
  void Lose(const Sink* sink);
  // Events of this task were stored, or its state has changed.
  void Notify(int64_t task);

 private:
  // The next event wanted. Attempt 0: not chosen yet.
  struct Place {
    int32_t attempt = 0;
    int64_t sequence = 0;
  };
  struct Follower {
    RowKey task;
    bool one_attempt = false;
    Place place;
    std::shared_ptr<Sink> sink;
    v1::TaskState told = v1::TASK_STATE_UNSPECIFIED;
    bool busy = true;    // reading, or waiting for the sink
    bool dirty = false;  // something came while busy
    Executor::TimerId timer = 0;
  };
  // Events from a place on, and the place after them.
  struct Step {
    v1::FollowTaskEventsResponse message;
    Place place;
    bool end = false;  // no more will come
  };

  static absl::StatusOr<Place> ParseToken(
      const v1::FollowTaskEventsRequest& request);
  static absl::StatusOr<Step> ReadStep(StoreReader& reader, RowKey task,
                                       bool one_attempt, Place place);
  void Pump(int64_t id);
  void Send(int64_t id, Step step);
  void Rest(int64_t id);
  void End(int64_t id, absl::Status status);

  Executor& executor_;
  Store& store_;
  const Ids ids_;
  int64_t next_id_ = 1;
  std::map<int64_t, Follower> followers_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_EVENT_FEEDS_H_
