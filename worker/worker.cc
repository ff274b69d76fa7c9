#include "worker/worker.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attach_line.h"
#include "worker/attempt.h"
#include "worker/slot_pool.h"
#include "worker/sweep.h"

namespace midwatch {
namespace {

constexpr absl::Duration kBackoffMax = absl::Seconds(5);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(200);
constexpr absl::Duration kRenewEveryMin = absl::Milliseconds(100);
// Between looks at whether a drain has come to its end.
constexpr absl::Duration kDrainLook = absl::Milliseconds(50);
// Between looks for errands, and how many are under way at most.
constexpr absl::Duration kErrandsEvery = absl::Seconds(30);
constexpr int kErrandsMax = 32;

// A lease as a key: a task may come back, with a higher epoch, before the
// attempt that lost it has noticed.
using LeaseKey = std::pair<std::string, int64_t>;

google::protobuf::Timestamp TimestampOf(absl::Time time) {
  google::protobuf::Timestamp stamp;
  stamp.set_seconds(absl::ToUnixSeconds(time));
  stamp.set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(stamp.seconds()))));
  return stamp;
}

LeaseKey KeyOf(const v1::LeaseToken& token) {
  return {token.task_id(), token.epoch()};
}

}  // namespace

struct Worker::Impl {
  Impl(WorkerParts p, WorkerOptions o)
      : parts(std::move(p)),
        options(std::move(o)),
        term(parts.clock),
        remote_ids(parts.executor, parts.scheduler),
        archiver(parts.executor, parts.scheduler),
        event_sender(
            std::make_shared<EventSender>(parts.executor, parts.scheduler)) {
    for (const auto& [name, client] : parts.accounts) {
      auto slots = std::make_unique<SlotPool>(parts.executor, parts.clock,
                                              parts.scheduler, name);
      client->SetGate(slots.get());
      pools[name] = std::move(slots);
      attach_lines[name] =
          std::make_unique<AttachLine>(parts.executor, *client);
    }
  }

  // ---- Being alive to the scheduler ----

  Async<void> Serve();
  // Begins a term, or makes the scheduler know the one that is under way.
  Async<absl::Status> Register();
  // Renews until the term is over.
  Async<void> KeepTerm();
  Async<absl::Status> Renew();
  void Lapse(const char* why);

  // ---- Grants and notices ----

  // `generation` ends with the term under which it was started.
  static Async<void> ReadLeases(Impl& self, int generation);
  void Handle(const v1::StreamLeasesResponse& response);
  void Take(const v1::Lease& lease);
  static Async<void> RunAttempt(Impl& self, std::shared_ptr<Attempt> attempt);
  Async<void> Refuse(v1::LeaseToken token);
  Attempt* Find(const v1::LeaseToken& token);

  // Does what is left of attempts that nobody holds any more.
  static Async<void> RunErrands(Impl& self, int generation);
  static Async<void> RunSweep(Impl& self, AgentsClient& client,
                              std::string account, v1::Sweep sweep);

  static Async<void> FinishDrain(Impl& self, absl::AnyInvocable<void()> done);

  WorkerParts parts;
  WorkerOptions options;
  WorkerTerm term;
  RemoteIds remote_ids;
  Archiver archiver;
  std::shared_ptr<EventSender> event_sender;
  std::map<std::string, std::unique_ptr<SlotPool>> pools;  // by account
  std::map<std::string, std::unique_ptr<AttachLine>> attach_lines;
  std::string incarnation;
  int64_t worker_id = 0;
  std::string cluster;
  absl::Duration renew_every;
  int generation = 0;
  bool draining = false;
  std::set<std::string> sweeping;  // accounts
  LeaseStream* leases = nullptr;   // the open one, of ReadLeases
  // Shared with the coroutine that runs it, which may outlast a lost lease.
  std::map<LeaseKey, std::shared_ptr<Attempt>> attempts;
};

Async<void> Worker::Impl::Serve() {
  while (!draining) {
    incarnation = parts.random.Hex(16);
    Backoff backoff(parts.random, kFirstBackoff, kBackoffMax);
    while (!draining && term.over()) {
      absl::Status registered = co_await Register();
      if (registered.ok()) continue;
      if (!IsTransient(registered)) {
        LogWarning("cannot register", {{"why", registered.ToString()}});
      }
      co_await Sleep(parts.executor, backoff.Next());
    }
    if (draining) break;
    ++generation;
    Spawn(parts.executor, ReadLeases(*this, generation));
    Spawn(parts.executor, RunErrands(*this, generation));
    co_await KeepTerm();
  }
}

Async<absl::Status> Worker::Impl::Register() {
  const std::string mine = incarnation;
  v1::RegisterWorkerRequest request;
  request.set_incarnation(mine);
  request.set_description(options.description);
  request.set_capacity(options.capacity);
  for (const auto& [name, client] : parts.accounts) request.add_accounts(name);
  for (const v1::AccountLimits& limits : options.limits) {
    *request.add_limits() = limits;
  }
  absl::Duration mark = term.Mark();
  CO_ASSIGN_OR_RETURN(
      v1::RegisterWorkerResponse answer,
      co_await parts.scheduler.RegisterWorker(std::move(request)));
  if (mine != incarnation) co_return absl::AbortedError("of an older term");
  if (answer.worker_id() != worker_id) {
    // What was held under another id is lost.
    for (auto& [key, attempt] : attempts) attempt->Revoke();
  }
  worker_id = answer.worker_id();
  cluster = answer.cluster();
  renew_every = std::max(FromProto(answer.renew_every()), kRenewEveryMin);
  term.Extend(mark, FromProto(answer.term()));
  LogInfo("registered", {{"worker", worker_id}});
  co_return absl::OkStatus();
}

Async<void> Worker::Impl::KeepTerm() {
  while (true) {
    co_await Sleep(parts.executor, renew_every);
    Backoff backoff(parts.random, kFirstBackoff, kBackoffMax);
    while (true) {
      if (term.over()) {
        Lapse("the scheduler could not be reached in time");
        co_return;
      }
      absl::Status renewed = co_await Renew();
      if (renewed.ok()) break;
      if (!IsTransient(renewed)) {
        Lapse("the scheduler does not know the worker");
        co_return;
      }
      co_await Sleep(parts.executor, backoff.Next());
    }
  }
}

Async<absl::Status> Worker::Impl::Renew() {
  absl::Duration mark = term.Mark();
  v1::RenewWorkerRequest request;
  request.set_worker_id(worker_id);
  absl::StatusOr<v1::RenewWorkerResponse> answer =
      co_await parts.scheduler.RenewWorker(std::move(request));
  if (answer.ok()) term.Extend(mark, FromProto(answer->term()));
  // A scheduler that has just started knows a worker by its leases alone, which
  // are good for a full term, until it registers again.
  if (absl::IsNotFound(answer.status()) && !term.over()) {
    co_return co_await Register();
  }
  co_return answer.status();
}

void Worker::Impl::Lapse(const char* why) {
  LogWarning(
      "term over; dropping all attempts",
      {{"worker", worker_id}, {"attempts", attempts.size()}, {"why", why}});
  term.End();
  ++generation;
  if (leases != nullptr) std::exchange(leases, nullptr)->Close();
  for (auto& [key, attempt] : attempts) attempt->Revoke();
}

Async<void> Worker::Impl::ReadLeases(Impl& self, int generation) {
  Backoff backoff(self.parts.random, kFirstBackoff, kBackoffMax);
  while (generation == self.generation && !self.draining) {
    v1::StreamLeasesRequest request;
    request.set_worker_id(self.worker_id);
    for (const auto& [key, attempt] : self.attempts) {
      if (attempt->held()) *request.add_held() = attempt->token();
    }
    absl::StatusOr<std::unique_ptr<LeaseStream>> opened =
        co_await self.parts.scheduler.StreamLeases(std::move(request));
    if (generation != self.generation || self.draining) break;
    bool unknown = absl::IsNotFound(opened.status());
    if (opened.ok()) {
      std::unique_ptr<LeaseStream> stream = *std::move(opened);
      self.leases = stream.get();
      while (true) {
        absl::StatusOr<v1::StreamLeasesResponse> response =
            co_await stream->Next();
        // Of an older term: its grants are void.
        if (generation != self.generation) co_return;
        if (!response.ok()) {
          unknown = absl::IsNotFound(response.status());
          break;
        }
        backoff.Reset();
        self.Handle(*response);
      }
      self.leases = nullptr;
    }
    // Sooner than KeepTerm would: until then nothing is granted.
    if (unknown && !self.term.over()) (void)co_await self.Renew();
    // KeepTerm notices by itself that the term is over.
    co_await Sleep(self.parts.executor, backoff.Next());
  }
}

void Worker::Impl::Handle(const v1::StreamLeasesResponse& response) {
  if (response.has_grant()) {
    Take(response.grant());
  } else if (response.has_revoke()) {
    if (Attempt* attempt = Find(response.revoke())) attempt->Revoke();
  } else if (response.has_say()) {
    if (Attempt* attempt = Find(response.say().token())) {
      attempt->Notice(response.say());
    }
  }
}

Attempt* Worker::Impl::Find(const v1::LeaseToken& token) {
  auto it = attempts.find(KeyOf(token));
  return it == attempts.end() ? nullptr : it->second.get();
}

void Worker::Impl::Take(const v1::Lease& lease) {
  const v1::LeaseToken& token = lease.token();
  if (Find(token) != nullptr) return;
  // The scheduler has freed it meanwhile: whoever still runs it has lost it.
  for (auto it = attempts.lower_bound({token.task_id(), INT64_MIN});
       it != attempts.end() && it->first.first == token.task_id(); ++it) {
    it->second->Revoke();
  }
  auto account = parts.accounts.find(lease.account());
  if (draining || account == parts.accounts.end()) {
    if (!draining) {
      LogError("granted a task of an account without a key here",
               {{"task", token.task_id()}, {"account", lease.account()}});
    }
    Spawn(parts.executor, Refuse(token));
    return;
  }
  LogInfo("granted", {{"task", token.task_id()},
                      {"attempt", token.attempt()},
                      {"epoch", token.epoch()},
                      {"session", lease.session_id()}});
  FaultPoint("worker.grant.after");
  if (lease.has_create_after()) {
    pools[lease.account()]->AddCreate(FromProto(lease.create_after()));
  }
  AttemptParts attempt_parts{parts.executor,
                             parts.clock,
                             parts.random,
                             parts.scheduler,
                             *event_sender,
                             parts.artifacts,
                             *account->second,
                             remote_ids,
                             archiver,
                             *attach_lines[lease.account()],
                             term,
                             options.prices,
                             parts.tools,
                             parts.checks,
                             cluster,
                             parts.pool};
  auto attempt = std::make_shared<Attempt>(std::move(attempt_parts), lease);
  attempts[KeyOf(token)] = attempt;
  Spawn(parts.executor, RunAttempt(*this, std::move(attempt)));
}

Async<void> Worker::Impl::RunAttempt(Impl& self,
                                     std::shared_ptr<Attempt> attempt) {
  co_await attempt->Run();
  self.attempts.erase(KeyOf(attempt->token()));
  // It could not give its lease back. The next stream of leases does not name
  // it, which frees it for others; without, it would be held by nobody's hand.
  if (attempt->held() && self.leases != nullptr) self.leases->Close();
}

Async<void> Worker::Impl::Refuse(v1::LeaseToken token) {
  v1::HandBackRequest request;
  *request.mutable_token() = std::move(token);
  // Once: where it fails, the lease lapses with the worker's next stream.
  (void)co_await parts.scheduler.HandBack(std::move(request));
}

Async<void> Worker::Impl::RunErrands(Impl& self, int generation) {
  while (true) {
    co_await Sleep(self.parts.executor, kErrandsEvery);
    for (const auto& [name, client] : self.parts.accounts) {
      if (generation != self.generation || self.draining) co_return;
      const int room = kErrandsMax - self.archiver.pending();
      if (room <= 0) break;
      v1::LeaseErrandsRequest request;
      request.set_account(name);
      request.set_max(room);
      absl::StatusOr<v1::LeaseErrandsResponse> leased =
          co_await self.parts.scheduler.LeaseErrands(std::move(request));
      if (!leased.ok() || self.draining) break;
      if (leased->errands_size() > 0) FaultPoint("worker.errand.before");
      for (const v1::Errand& errand : leased->errands()) {
        self.archiver.Archive(*client, name, errand.session_id());
      }
      if (leased->has_sweep() && self.sweeping.insert(name).second) {
        Spawn(self.parts.executor,
              RunSweep(self, *client, name, leased->sweep()));
      }
    }
  }
}

Async<void> Worker::Impl::RunSweep(Impl& self, AgentsClient& client,
                                   std::string account, v1::Sweep sweep) {
  SweepOptions sweep_options;
  sweep_options.account = account;
  sweep_options.created_from = FromProto(sweep.created_from());
  sweep_options.stop = [&self] { return self.draining; };
  absl::StatusOr<SweepFindings> found = co_await SweepAccount(
      self.parts.executor, client, self.parts.scheduler,
      std::move(sweep_options), [](const SweptSession&) {});
  if (found.ok()) {
    v1::CompleteSweepRequest request;
    request.set_account(account);
    *request.mutable_created_from() = sweep.created_from();
    *request.mutable_counts() = found->counts;
    if (found->oldest_open < absl::InfiniteFuture()) {
      *request.mutable_oldest_open() = TimestampOf(found->oldest_open);
    }
    // Once: where it does not arrive, the sweep is due again.
    (void)co_await self.parts.scheduler.CompleteSweep(std::move(request));
  } else {
    LogInfo("sweep left to the next",
            {{"account", account}, {"why", found.status().ToString()}});
  }
  self.sweeping.erase(account);
}

Async<void> Worker::Impl::FinishDrain(Impl& self,
                                      absl::AnyInvocable<void()> done) {
  // Once the term is over there is nothing to give back, and no slot will come
  // for what still waits for one.
  while (!self.term.over() &&
         (!self.attempts.empty() || self.archiver.pending() > 0)) {
    co_await Sleep(self.parts.executor, kDrainLook);
  }
  done();
}

Worker::Worker(WorkerParts parts, WorkerOptions options)
    : impl_(std::make_unique<Impl>(std::move(parts), std::move(options))) {}

Worker::~Worker() = default;

void Worker::Start() { Spawn(impl_->parts.executor, impl_->Serve()); }

void Worker::Drain(absl::AnyInvocable<void()> done) {
  impl_->draining = true;
  if (impl_->leases != nullptr) impl_->leases->Close();
  impl_->archiver.Drain();
  for (auto& [key, attempt] : impl_->attempts) attempt->Drain();
  Spawn(impl_->parts.executor, Impl::FinishDrain(*impl_, std::move(done)));
}

int Worker::live_attempts() const {
  return static_cast<int>(
      std::count_if(impl_->attempts.begin(), impl_->attempts.end(),
                    [](const auto& entry) { return entry.second->held(); }));
}

}  // namespace midwatch
