// Who works on what: the terms of workers, their lease streams, and admission.
//
// The store is the truth of every lease; this book is what a scheduler may
// keep in memory of it, since it alone grants and frees. After a restart the
// book is read from the store, and every worker named in it gets one full term.
#ifndef MIDWATCH_SCHEDULER_LEASE_BOOK_H_
#define MIDWATCH_SCHEDULER_LEASE_BOOK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "midwatch/v1/worker_service.pb.h"
#include "scheduler/admission.h"
#include "scheduler/rate_book.h"
#include "scheduler/reply.h"
#include "scheduler/to_proto.h"
#include "scheduler/why.h"
#include "store/store.h"

namespace midwatch {

struct LeaseBookOptions {
  // How long a worker is believed alive after its last renewal, counted on the
  // scheduler's steady clock.
  absl::Duration term = absl::Seconds(30);
  absl::Duration renew_every = absl::Seconds(10);
  // The workers of an earlier life lived in the process that died with it, so
  // what they held is free at once, and not after a term. Where one lives after
  // all, it is refused, as any holder of a lost lease.
  bool workers_died_too = false;
};

// Lives on the scheduler's executor.
class LeaseBook {
 public:
  // `rates` outlives it.
  LeaseBook(Executor& executor, Store& store, RateBook& rates,
            LeaseBookOptions options);
  ~LeaseBook();

  // What the store holds, before anything else is called.
  void Load(const std::vector<LiveRecord>& live);

  // Something may have become ready, or a slot free: admit, soon.
  void WantAdmission();

  // Tells the holders of cancelled tasks.
  void Deliver(const std::vector<CancelNotice>& notices);

  // WorkerService. See the proto.
  void RegisterWorker(const v1::RegisterWorkerRequest& request,
                      Reply<v1::RegisterWorkerResponse> reply);
  void RenewWorker(const v1::RenewWorkerRequest& request,
                   Reply<v1::RenewWorkerResponse> reply);
  void StreamLeases(const v1::StreamLeasesRequest& request,
                    std::shared_ptr<StreamSink<v1::StreamLeasesResponse>> sink);
  // The carrier of a stream has lost it.
  void LoseStream(const StreamSink<v1::StreamLeasesResponse>* sink);
  // Whether it is some worker's stream.
  bool HasStream(const StreamSink<v1::StreamLeasesResponse>* sink) const;

  // The lease behind a token, if it is live.
  //   kAborted          it is not
  //   kInvalidArgument  the token's task_id is no id
  struct LiveLease {
    LeaseKey key;
    RowKey task;
    int64_t batch = 0;
    std::string account;
    int64_t grant_seq = 0;
    bool probe = false;  // of its account, until it was answered
  };
  absl::StatusOr<LiveLease> Find(const v1::LeaseToken& token) const;

  // The task's attempt is over, or no longer held: forget the lease, use the
  // slot.
  void Forget(const LeaseKey& lease);
  // It is on, and free to be adopted.
  void Release(const LeaseKey& lease);

  // What serves tasks of the account at this moment, without the service's
  // rates.
  ServingFacts ServingOf(const std::string& account) const;

  // Holding tasks or not; for `midwatch` and tests.
  size_t live_attempts() const { return live_.size(); }

 private:
  using Sink = StreamSink<v1::StreamLeasesResponse>;
  struct WorkerState {
    std::vector<std::string> accounts;
    int capacity = 0;  // 0: not registered since the scheduler started
    // Set while a lease stream is open; grants go out only once the leases
    // that its worker does not hold have been freed.
    std::shared_ptr<Sink> sink;
    bool ready = false;
    Executor::TimerId term_timer = 0;
  };

  // How many attempts a worker holds, whether or not its term is known.
  struct Held {
    int all = 0;
    std::map<std::string, int> by_account;
  };

  void BeginTerm(int64_t worker);
  void Lapse(int64_t worker);
  // Goes on until it is done: nobody else frees them, and a lapsed worker's
  // tasks would wait for ever.
  void Free(int64_t worker, std::vector<LeaseKey> held,
            absl::AnyInvocable<void()> done);
  std::vector<WorkerOffer> Offers() const;
  // For what is held by workers that have no stream: they come back within
  // their term, or somebody adopts it.
  KeptSlots SlotsOfTheSilent() const;
  int HeldBy(int64_t worker) const;
  void RunAdmission();
  // Admits again once one of these accounts has a slot for a create.
  void AwaitSlot(const std::vector<std::string>& accounts);
  void Take(GrantRecord grant);
  // Counts the events of a grant in `describing_`, then sends it.
  void Describe(const LeaseKey& lease);
  void SendGrant(const GrantRecord& grant, int64_t stored_events);
  void SendTo(int64_t worker, v1::StreamLeasesResponse message);
  // Tells the lease's holder that it is lost.
  void Revoke(const LeaseKey& lease);
  // Sets the holder of a live lease, keeping count; 0 for nobody.
  void SetHolder(LiveLease& live, int64_t worker, int64_t epoch);

  Executor& executor_;
  Store& store_;
  RateBook& rates_;
  const LeaseBookOptions options_;
  const Ids ids_;
  std::map<int64_t, WorkerState> workers_;
  std::map<int64_t, LiveLease> live_;  // by task
  std::map<int64_t, Held> held_;       // by worker, of those in `live_`
  // Grants whose events are being counted. What is to be told of one meanwhile
  // is put into it, since its holder does not know it yet; one that is lost
  // meanwhile is not sent.
  std::map<int64_t, GrantRecord> describing_;  // by task
  bool admission_wanted_ = false;
  bool admission_runs_ = false;
  Executor::TimerId slot_timer_ = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_LEASE_BOOK_H_
