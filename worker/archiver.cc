#include "worker/archiver.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"

namespace midwatch {
namespace {

constexpr absl::Duration kDelay = absl::Seconds(2);
constexpr absl::Duration kDelayMax = absl::Minutes(1);

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

void Archiver::Archive(AgentsClient& client, std::string session_id) {
  ++pending_;
  Spawn(executor_, Run(*this, client, std::move(session_id)));
}

Async<void> Archiver::Run(Archiver& self, AgentsClient& client,
                          std::string session_id) {
  for (int tried = 1;; ++tried) {
    absl::StatusOr<Session> archived =
        co_await client.ArchiveSession(session_id, RequestPurpose::kSpare);
    if (archived.ok()) break;
    std::optional<absl::Duration> delay = DelayAfter(archived.status());
    if (!delay || tried == kTries || self.draining_) {
      LogInfo("session left to the sweep",
              {{"session", session_id}, {"why", archived.status().ToString()}});
      break;
    }
    co_await Sleep(self.executor_, *delay);
  }
  --self.pending_;
}

}  // namespace midwatch
