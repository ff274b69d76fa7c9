#include "worker/archiver.h"

#include <functional>
#include <utility>

#include "base/fault_points.h"
#include "base/log.h"
#include "worker/end_session.h"

namespace midwatch {
namespace {

// Gathers what is done, so that a worker tells of it a few times a second.
constexpr absl::Duration kTellAfter = absl::Milliseconds(200);
constexpr int kToldAtOnce = 1000;

}  // namespace

void Archiver::Archive(AgentsClient& client, std::string account,
                       std::string session_id) {
  Key key{std::move(account), std::move(session_id)};
  if (!under_way_.insert(key).second) return;
  Spawn(executor_, Run(*this, client, std::move(key)));
}

Async<void> Archiver::Run(Archiver& self, AgentsClient& client, Key key) {
  std::function<bool()> stop = [&self] { return self.draining_; };
  absl::StatusOr<EndedSession> ended =
      co_await EndSession(self.executor_, client, key.second, std::move(stop));
  if (ended.ok()) {
    FaultPoint("worker.archive.after");
    v1::DoneErrand& done = self.done_[key.first].emplace_back();
    done.set_session_id(key.second);
    done.set_gone(ended->gone);
    if (ended->list_cost_usd_micros) {
      done.set_list_cost_usd_micros(*ended->list_cost_usd_micros);
    }
    if (!std::exchange(self.telling_, true)) {
      Spawn(self.executor_, Tell(self));
    }
  } else {
    LogInfo("session left to an errand",
            {{"session", key.second}, {"why", ended.status().ToString()}});
  }
  self.under_way_.erase(key);
}

Async<void> Archiver::Tell(Archiver& self) {
  co_await Sleep(self.executor_, kTellAfter);
  while (!self.done_.empty()) {
    auto first = self.done_.begin();
    std::vector<v1::DoneErrand>& errands = first->second;
    v1::CompleteErrandsRequest request;
    request.set_account(first->first);
    while (!errands.empty() && request.errands_size() < kToldAtOnce) {
      *request.add_errands() = std::move(errands.back());
      errands.pop_back();
    }
    if (errands.empty()) self.done_.erase(first);
    // Once: an errand that is done again does no harm.
    (void)co_await self.scheduler_.CompleteErrands(std::move(request));
    FaultPoint("worker.errand.after");
  }
  self.telling_ = false;
}

}  // namespace midwatch
