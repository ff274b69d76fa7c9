// Watchers of batches. Each is sent the journal from its own place on, after
// every commit that touched its batch, so a watcher that was slow, or that
// comes back with a token, sees the same as one that never left. Those that are
// at the same place read it together.
#ifndef MIDWATCH_SCHEDULER_WATCH_HUB_H_
#define MIDWATCH_SCHEDULER_WATCH_HUB_H_

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "midwatch/v1/batch_service.pb.h"
#include "scheduler/cost_estimates.h"
#include "scheduler/reply.h"
#include "scheduler/to_proto.h"
#include "store/store.h"

namespace midwatch {

// Lives on the scheduler's executor.
class WatchHub {
 public:
  using Sink = StreamSink<v1::WatchBatchResponse>;

  // Both outlive it.
  WatchHub(Store& store, const CostEstimates& estimates)
      : store_(store), estimates_(estimates), ids_(store.cluster()) {}

  void Watch(const v1::WatchBatchRequest& request, std::shared_ptr<Sink> sink);
  // The carrier of a watch has lost it.
  void Lose(const Sink* sink);
  // These batches' journals or estimates grew.
  void Notify(const std::vector<int64_t>& batches);

 private:
  struct Watcher {
    RowKey batch;
    int64_t seq = 0;  // sent up to here
    std::shared_ptr<Sink> sink;
    bool busy = true;    // reading, or waiting for the sink
    bool dirty = false;  // something came while busy
  };
  // What is read for whoever watches a batch and has been sent its journal up
  // to `after`; 0: who begins.
  struct Place {
    RowKey batch;
    int64_t after = 0;
    friend bool operator<(const Place& a, const Place& b) {
      return std::tie(a.batch.row, a.batch.unix_millis, a.after) <
             std::tie(b.batch.row, b.batch.unix_millis, b.after);
    }
  };
  // One page of a batch's journal, with the batch as it stands after it.
  struct Page {
    int64_t seq = 0;
    std::vector<JournalRecord> journal;
    BatchRecord batch;
  };
  // The same as messages.
  struct Sheet;
  // Who waits for a read. One that was begun before a change may not show it:
  // who comes while it is under way waits for the next one.
  struct Reading {
    std::vector<int64_t> now, next;
  };

  void Pump(int64_t id);
  void Read(const Place& place);
  void SendPages(const Place& place, const absl::StatusOr<Page>& page);
  void SendSheet(int64_t id, const Sheet& sheet);
  void Rest(int64_t id);
  void End(int64_t id, absl::Status status);

  Store& store_;
  const CostEstimates& estimates_;
  const Ids ids_;
  int64_t next_id_ = 1;
  std::map<int64_t, Watcher> watchers_;
  std::map<Place, Reading> readings_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_WATCH_HUB_H_
