#include "worker/event_sender.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace midwatch {
namespace {

size_t BytesOf(const v1::AttemptEvents& events) {
  size_t bytes = 0;
  for (const std::string& json : events.events_json()) bytes += json.size();
  return bytes;
}

absl::StatusOr<int64_t> ResultOf(const v1::AppendEventsResponse& response,
                                 int index, size_t sent) {
  if (static_cast<size_t>(response.attempts_size()) != sent) {
    return absl::InternalError(absl::StrCat("AppendEvents answered for ",
                                            response.attempts_size(),
                                            " attempts of ", sent));
  }
  const v1::AttemptStored& stored = response.attempts(index);
  if (stored.error_code() == 0) return stored.stored_events();
  return absl::Status(static_cast<absl::StatusCode>(stored.error_code()),
                      stored.error());
}

}  // namespace

Async<absl::StatusOr<int64_t>> EventSender::Send(v1::AttemptEvents events) {
  if (size_t bytes = BytesOf(events); bytes > kAttemptBytesMax) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("events of ", bytes,
                     " bytes; the scheduler takes at most ", kAttemptBytesMax));
  }
  absl::AnyInvocable<void(Done)> start = [this, &events](Done done) {
    waiting_.push_back({std::move(events), std::move(done)});
    if (std::exchange(running_, true)) return;
    Spawn(executor_, Run(shared_from_this()));
  };
  co_return co_await AwaitCallback<absl::StatusOr<int64_t>>(executor_,
                                                            std::move(start));
}

Async<void> EventSender::Run(std::shared_ptr<EventSender> self) {
  while (!self->waiting_.empty()) {
    v1::AppendEventsRequest request;
    std::vector<Done> dones;
    size_t bytes = 0;
    while (!self->waiting_.empty() && request.attempts_size() < kAttemptsMax) {
      Waiting& next = self->waiting_.front();
      bytes += BytesOf(next.events);
      // A large one goes alone.
      if (!dones.empty() && bytes > kCallBytes) break;
      *request.add_attempts() = std::move(next.events);
      dones.push_back(std::move(next.done));
      self->waiting_.pop_front();
    }
    absl::StatusOr<v1::AppendEventsResponse> answer =
        co_await self->scheduler_.AppendEvents(std::move(request));
    for (size_t i = 0; i < dones.size(); ++i) {
      dones[i](answer.ok()
                   ? ResultOf(*answer, static_cast<int>(i), dones.size())
                   : answer.status());
    }
  }
  self->running_ = false;
}

}  // namespace midwatch
