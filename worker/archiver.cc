#include "worker/archiver.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"

namespace midwatch {
namespace {

constexpr absl::Duration kDelay = absl::Seconds(2);
constexpr absl::Duration kDelayMax = absl::Minutes(1);
// Gathers what is done, so that a worker tells of it a few times a second.
constexpr absl::Duration kTellAfter = absl::Milliseconds(200);
constexpr int kToldAtOnce = 1000;

// How long to wait before the next try; nothing where there is no point.
std::optional<absl::Duration> DelayAfter(const absl::Status& failure) {
  if (absl::IsNotFound(failure) || absl::IsUnauthenticated(failure) ||
      absl::IsPermissionDenied(failure)) {
    return std::nullopt;
  }
  std::optional<ApiError> error = GetApiError(failure);
  if (error && error->retry_after) {
    return std::clamp(*error->retry_after, kDelay, kDelayMax);
  }
  return kDelay;
}

}  // namespace

void Archiver::Archive(AgentsClient& client, std::string account,
                       std::string session_id) {
  Key key{std::move(account), std::move(session_id)};
  if (!under_way_.insert(key).second) return;
  Spawn(executor_, Run(*this, client, std::move(key)));
}

Async<void> Archiver::Run(Archiver& self, AgentsClient& client, Key key) {
  for (int tried = 1;; ++tried) {
    absl::StatusOr<Session> archived =
        co_await client.ArchiveSession(key.second, RequestPurpose::kSpare);
    if (archived.ok() || absl::IsNotFound(archived.status())) {
      v1::DoneErrand& done = self.done_[key.first].emplace_back();
      done.set_session_id(key.second);
      done.set_gone(!archived.ok());
      if (archived.ok() && archived->list_cost_usd_micros) {
        done.set_list_cost_usd_micros(*archived->list_cost_usd_micros);
      }
      if (!std::exchange(self.telling_, true)) {
        Spawn(self.executor_, Tell(self));
      }
      break;
    }
    std::optional<absl::Duration> delay = DelayAfter(archived.status());
    if (!delay || tried == kTries || self.draining_) {
      LogInfo("session left to an errand",
              {{"session", key.second}, {"why", archived.status().ToString()}});
      break;
    }
    co_await Sleep(self.executor_, *delay);
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
  }
  self.telling_ = false;
}

}  // namespace midwatch
