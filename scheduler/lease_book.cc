#include "scheduler/lease_book.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "scheduler/admission.h"
#include "scheduler/from_proto.h"

namespace midwatch {

LeaseBook::LeaseBook(Executor& executor, Store& store, RateBook& rates,
                     LeaseBookOptions options)
    : executor_(executor),
      store_(store),
      rates_(rates),
      options_(options),
      ids_(store.cluster()) {}

LeaseBook::~LeaseBook() = default;

void LeaseBook::Load(const std::vector<LiveRecord>& live) {
  for (const LiveRecord& record : live) {
    LeaseKey key = record.lease;
    LiveLease& lease = live_[key.task] = LiveLease{
        .key = {0, key.task, key.attempt, key.epoch},
        .task = record.task,
        .batch = record.batch,
        .account = record.account,
        .grant_seq = record.grant_seq,
    };
    if (key.worker == 0) continue;
    SetHolder(lease, key.worker, key.epoch);
    WorkerState& worker = workers_[key.worker];
    // How long ago it renewed is not known, so it gets a full term: its tasks
    // are freed late rather than twice held.
    if (worker.term_timer == 0) BeginTerm(key.worker);
  }
  if (!options_.workers_died_too) return;
  while (!workers_.empty()) {
    int64_t id = workers_.begin()->first;
    executor_.Cancel(workers_.begin()->second.term_timer);
    Lapse(id);
  }
}

void LeaseBook::BeginTerm(int64_t id) {
  WorkerState& worker = workers_[id];
  executor_.Cancel(worker.term_timer);
  worker.term_timer = executor_.After(options_.term, [this, id] { Lapse(id); });
}

void LeaseBook::Lapse(int64_t id) {
  LogWarning("worker lapsed", {{"worker", id}});
  auto worker = workers_.find(id);
  std::shared_ptr<Sink> sink = std::move(worker->second.sink);
  workers_.erase(worker);
  if (sink != nullptr) {
    sink->Finish(absl::NotFoundError("the worker's term has lapsed"));
  }
  Free(id, {}, [] {});
}

void LeaseBook::Free(int64_t id, std::vector<LeaseKey> held,
                     absl::AnyInvocable<void()> done) {
  store_.Apply(FreeLeases{id, held}, [this, id, held, done = std::move(done)](
                                         absl::StatusOr<Freed> freed) mutable {
    if (!freed.ok()) {
      LogError("leases not freed",
               {{"worker", id}, {"why", freed.status().message()}});
      executor_.After(absl::Seconds(1), [this, id, held = std::move(held),
                                         done = std::move(done)]() mutable {
        Free(id, std::move(held), std::move(done));
      });
      return;
    }
    if (!freed->leases.empty()) FaultPoint("scheduler.free.after");
    for (const LeaseKey& lease : freed->leases) {
      LogInfo("lease freed", {{"task", lease.task},
                              {"attempt", lease.attempt},
                              {"worker", lease.worker}});
      Revoke(lease);
      Release(lease);
    }
    Deliver(freed->notices);
    done();
  });
}

void LeaseBook::RegisterWorker(const v1::RegisterWorkerRequest& request,
                               Reply<v1::RegisterWorkerResponse> reply) {
  absl::StatusOr<midwatch::RegisterWorker> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  store_.Apply(
      *std::move(write), [this, request, reply = std::move(reply)](
                             absl::StatusOr<Registered> registered) mutable {
        if (!registered.ok()) return reply(registered.status());
        FaultPoint("scheduler.register.after");
        WorkerState& worker = workers_[registered->worker];
        worker.accounts.assign(request.accounts().begin(),
                               request.accounts().end());
        worker.capacity = request.capacity();
        for (const std::string& account : worker.accounts) rates_.Know(account);
        for (const v1::AccountLimits& limits : request.limits()) {
          rates_.SetLimits(limits);
        }
        BeginTerm(registered->worker);
        LogInfo("worker registered", {{"worker", registered->worker},
                                      {"who", request.description()}});
        v1::RegisterWorkerResponse response;
        response.set_worker_id(registered->worker);
        *response.mutable_term() = ToDuration(options_.term);
        *response.mutable_renew_every() = ToDuration(options_.renew_every);
        response.set_cluster(store_.cluster_mark());
        reply(std::move(response));
      });
}

void LeaseBook::RenewWorker(const v1::RenewWorkerRequest& request,
                            Reply<v1::RenewWorkerResponse> reply) {
  auto worker = workers_.find(request.worker_id());
  if (worker == workers_.end() || worker->second.capacity == 0) {
    return reply(absl::NotFoundError("no term to renew: register again"));
  }
  BeginTerm(request.worker_id());
  v1::RenewWorkerResponse response;
  *response.mutable_term() = ToDuration(options_.term);
  reply(std::move(response));
}

void LeaseBook::StreamLeases(const v1::StreamLeasesRequest& request,
                             std::shared_ptr<Sink> sink) {
  int64_t id = request.worker_id();
  auto worker = workers_.find(id);
  if (worker == workers_.end() || worker->second.capacity == 0) {
    return sink->Finish(absl::NotFoundError("no such worker: register first"));
  }
  std::vector<LeaseKey> held;
  for (const v1::LeaseToken& token : request.held()) {
    absl::StatusOr<RowKey> task = ids_.Parse("held.task_id", token.task_id());
    if (!task.ok()) return sink->Finish(task.status());
    held.push_back(
        {token.worker_id(), task->row, token.attempt(), token.epoch()});
  }
  if (worker->second.sink != nullptr) {
    worker->second.sink->Finish(
        absl::AbortedError("another stream was opened"));
  }
  worker->second.sink = sink;
  worker->second.ready = false;
  // What it holds and the store does not grant it is lost.
  for (size_t i = 0; i < held.size(); ++i) {
    auto live = live_.find(held[i].task);
    if (held[i].worker == id && live != live_.end() &&
        live->second.key == held[i]) {
      continue;
    }
    v1::StreamLeasesResponse message;
    *message.mutable_revoke() = request.held(static_cast<int>(i));
    sink->Send(std::move(message), [] {});
  }
  Free(id, std::move(held), [this, id, sink] {
    auto found = workers_.find(id);
    if (found == workers_.end() || found->second.sink != sink) return;
    found->second.ready = true;
    WantAdmission();
  });
}

void LeaseBook::LoseStream(const Sink* sink) {
  for (auto& [id, worker] : workers_) {
    if (worker.sink.get() != sink) continue;
    worker.sink = nullptr;
    worker.ready = false;
  }
}

bool LeaseBook::HasStream(const Sink* sink) const {
  for (const auto& [id, worker] : workers_) {
    if (worker.sink.get() == sink) return true;
  }
  return false;
}

absl::StatusOr<LeaseBook::LiveLease> LeaseBook::Find(
    const v1::LeaseToken& token) const {
  absl::StatusOr<RowKey> task = ids_.Parse("token.task_id", token.task_id());
  if (!task.ok()) return task.status();
  LeaseKey key{token.worker_id(), task->row, token.attempt(), token.epoch()};
  auto live = live_.find(key.task);
  if (key.worker == 0 || live == live_.end() || live->second.key != key) {
    return absl::AbortedError("the lease is lost");
  }
  return live->second;
}

void LeaseBook::SetHolder(LiveLease& live, int64_t worker, int64_t epoch) {
  if (auto old = held_.find(live.key.worker); old != held_.end()) {
    --old->second.by_account[live.account];
    if (--old->second.all == 0) held_.erase(old);
  }
  live.key.worker = worker;
  live.key.epoch = epoch;
  if (worker == 0) return;
  Held& held = held_[worker];
  ++held.all;
  ++held.by_account[live.account];
}

int LeaseBook::HeldBy(int64_t worker) const {
  auto held = held_.find(worker);
  return held == held_.end() ? 0 : held->second.all;
}

KeptSlots LeaseBook::SlotsOfTheSilent() const {
  KeptSlots kept;
  for (const auto& [id, held] : held_) {
    auto worker = workers_.find(id);
    if (worker != workers_.end() && worker->second.ready) continue;
    for (const auto& [account, attempts] : held.by_account) {
      if (attempts > 0) kept[account] += attempts;
    }
  }
  return kept;
}

void LeaseBook::Forget(const LeaseKey& lease) {
  auto live = live_.find(lease.task);
  if (live == live_.end() || live->second.key != lease) return;
  SetHolder(live->second, 0, lease.epoch);
  live_.erase(live);
  describing_.erase(lease.task);
  WantAdmission();
}

void LeaseBook::Release(const LeaseKey& lease) {
  auto live = live_.find(lease.task);
  if (live == live_.end() || live->second.key != lease) return;
  SetHolder(live->second, 0, lease.epoch);
  describing_.erase(lease.task);
  WantAdmission();
}

void LeaseBook::Revoke(const LeaseKey& lease) {
  auto live = live_.find(lease.task);
  if (live == live_.end() || live->second.key != lease) return;
  v1::StreamLeasesResponse message;
  *message.mutable_revoke() = ToProto(lease, live->second.task, ids_);
  SendTo(lease.worker, std::move(message));
}

void LeaseBook::Deliver(const std::vector<CancelNotice>& notices) {
  for (const CancelNotice& notice : notices) {
    if (!notice.say.has_value()) {
      Revoke(notice.lease);
      Forget(notice.lease);
      continue;
    }
    // It was parked, and is to be adopted.
    if (notice.lease.worker == 0) WantAdmission();
    auto live = live_.find(notice.lease.task);
    if (live == live_.end() || live->second.key != notice.lease) continue;
    if (auto untold = describing_.find(notice.lease.task);
        untold != describing_.end()) {
      untold->second.cancelling = true;
      untold->second.outbox.push_back(*notice.say);
      continue;
    }
    v1::StreamLeasesResponse message;
    *message.mutable_say()->mutable_token() =
        ToProto(notice.lease, live->second.task, ids_);
    *message.mutable_say()->mutable_say() = *notice.say;
    message.mutable_say()->set_cancelling(true);
    SendTo(notice.lease.worker, std::move(message));
  }
}

void LeaseBook::SendTo(int64_t id, v1::StreamLeasesResponse message) {
  auto worker = workers_.find(id);
  // Without a stream the next one brings the worker up to date: what it holds
  // wrongly is revoked, what it does not know of is freed and granted anew,
  // with the whole outbox, and of what it holds rightly it hears whether cancel
  // was asked for.
  if (worker == workers_.end() || worker->second.sink == nullptr) return;
  worker->second.sink->Send(std::move(message), [] {});
}

std::vector<WorkerOffer> LeaseBook::Offers() const {
  std::vector<WorkerOffer> offers;
  for (const auto& [id, worker] : workers_) {
    const int free = worker.capacity - HeldBy(id);
    if (!worker.ready || free <= 0) continue;
    offers.push_back({id, free, worker.accounts});
  }
  return offers;
}

ServingFacts LeaseBook::ServingOf(const std::string& account) const {
  ServingFacts serving;
  for (const auto& [id, worker] : workers_) {
    const auto& served = worker.accounts;
    if (!worker.ready ||
        std::find(served.begin(), served.end(), account) == served.end()) {
      continue;
    }
    ++serving.workers;
    serving.capacity += worker.capacity;
    serving.free += std::max(0, worker.capacity - HeldBy(id));
  }
  const KeptSlots kept = SlotsOfTheSilent();
  if (auto of = kept.find(account); of != kept.end()) {
    serving.free = std::max(0, serving.free - of->second);
  }
  return serving;
}

void LeaseBook::WantAdmission() {
  if (admission_wanted_) return;
  admission_wanted_ = true;
  // In a task of its own: what is done at one moment is admitted in one pass.
  if (!admission_runs_) executor_.Post([this] { RunAdmission(); });
}

void LeaseBook::RunAdmission() {
  if (!admission_wanted_ || admission_runs_) return;
  admission_wanted_ = false;
  std::vector<WorkerOffer> offers = Offers();
  if (offers.empty()) return;
  admission_runs_ = true;
  std::vector<std::string> accounts;
  for (const WorkerOffer& offer : offers) {
    accounts.insert(accounts.end(), offer.accounts.begin(),
                    offer.accounts.end());
  }
  // The slots are taken when the grants are sent: what is asked for meanwhile
  // moves them a little, and takes none away.
  auto decide =
      [room = rates_.RoomOf(accounts, AdmissionBounds::kGrantsPerPass),
       kept = SlotsOfTheSilent()](absl::Time now,
                                  const std::vector<WorkerOffer>& workers,
                                  const AdmissionView& view) {
        return DecideAdmission(now, workers, view, room, kept);
      };
  store_.Apply(
      Admit{std::move(offers), std::move(decide)},
      [this, accounts = std::move(accounts)](absl::StatusOr<Grants> grants) {
        admission_runs_ = false;
        if (!grants.ok()) {
          LogError("admission failed", {{"why", grants.status().message()}});
          // Wanted until then, so that whoever asks meanwhile waits
          // for the same pass.
          admission_wanted_ = true;
          executor_.After(absl::Seconds(1), [this] { RunAdmission(); });
          return;
        }
        if (!grants->grants.empty()) FaultPoint("scheduler.grant.after");
        for (GrantRecord& grant : grants->grants) {
          Take(std::move(grant));
        }
        if (grants->waits_for_slot) AwaitSlot(accounts);
        if (grants->more) admission_wanted_ = true;
        if (admission_wanted_) RunAdmission();
      });
}

void LeaseBook::AwaitSlot(const std::vector<std::string>& accounts) {
  executor_.Cancel(slot_timer_);
  // Slots that are a moment apart are given away in one pass.
  constexpr absl::Duration kTogether = absl::Milliseconds(20);
  slot_timer_ =
      executor_.After(std::max(rates_.UntilRoom(accounts), kTogether), [this] {
        slot_timer_ = 0;
        WantAdmission();
      });
}

void LeaseBook::Take(GrantRecord grant) {
  LiveLease& live = live_[grant.lease.task];
  LeaseKey key = grant.lease;
  live.task = grant.task;
  live.batch = grant.batch;
  live.account = grant.account;
  live.grant_seq = grant.grant_seq;
  live.probe = grant.probe;
  int64_t holder = live.key.worker;
  live.key = key;
  live.key.worker = holder;
  SetHolder(live, key.worker, key.epoch);
  LogInfo("granted", {{"task", ids_.Format(grant.task)},
                      {"attempt", key.attempt},
                      {"worker", key.worker},
                      {"session", grant.session_id}});
  // Only an attempt with a session may have events already.
  if (grant.session_id.empty()) return SendGrant(grant, 0);
  describing_[key.task] = std::move(grant);
  Describe(key);
}

void LeaseBook::Describe(const LeaseKey& lease) {
  auto known = describing_.find(lease.task);
  if (known == describing_.end() || known->second.lease != lease) return;
  // Appending nothing tells the end, behind all that an earlier holder may have
  // under way: what it brings later is refused.
  store_.AppendEvents(
      EventChunk{known->second.grant_seq, 0, {}},
      [this, lease](absl::StatusOr<int64_t> events) {
        auto found = describing_.find(lease.task);
        if (found == describing_.end() || found->second.lease != lease) return;
        if (!events.ok()) {
          LogError("events not counted", {{"task", lease.task},
                                          {"attempt", lease.attempt},
                                          {"why", events.status().message()}});
          executor_.After(absl::Seconds(1), [this, lease] { Describe(lease); });
          return;
        }
        GrantRecord grant = std::move(found->second);
        describing_.erase(found);
        SendGrant(grant, *events);
      });
}

void LeaseBook::SendGrant(const GrantRecord& grant, int64_t stored_events) {
  absl::StatusOr<v1::Lease> lease = ToProto(grant, stored_events, ids_);
  if (!lease.ok()) {
    // Parameters were checked at submit, so this is a damaged row.
    LogError(
        "a grant cannot be described",
        {{"task", ids_.Format(grant.task)}, {"why", lease.status().message()}});
    return;
  }
  // What was begun by another holder asks for itself.
  if (grant.lease.epoch == grant.grant_seq) {
    *lease->mutable_create_after() =
        ToDuration(rates_.TakeStart(grant.account));
  }
  v1::StreamLeasesResponse message;
  *message.mutable_grant() = *std::move(lease);
  SendTo(grant.lease.worker, std::move(message));
}

}  // namespace midwatch
