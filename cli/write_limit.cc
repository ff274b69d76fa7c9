#include "cli/write_limit.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agents/api_error.h"
#include "cli/times.h"

namespace midwatch::cli {
namespace {

constexpr int kCreates = 2;
constexpr absl::Duration kBetweenCreates = absl::Milliseconds(1'100);
// Of a sender that was refused: often enough that whatever a limit allows again
// is taken by a write.
constexpr absl::Duration kAfterRefusal = absl::Milliseconds(50);
// Answers that are neither yes nor no.
constexpr int kFailuresMax = 5;

// A refusal that is about the rate; a spend cap's names no time.
std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const std::optional<ApiError> error = GetApiError(status);
  if (!error || error->http_status != 429) return std::nullopt;
  return error->retry_after;
}

bool MayPass(const absl::Status& status) {
  const std::optional<ApiError> error = GetApiError(status);
  return error && (error->http_status == 0 || error->http_status == 408 ||
                   error->http_status >= 500);
}

class Search {
 public:
  Search(Executor& executor, const Clock& clock, SendRequest& write,
         SendRequest& create, WriteLimitOptions options)
      : executor_(executor),
        clock_(clock),
        write_(write),
        create_(create),
        options_(options),
        begun_(clock.Steady()),
        wake_(executor) {}

  Async<WriteLimit> Run() {
    senders_ = options_.in_flight;
    for (int i = 0; i < options_.in_flight; ++i) Spawn(executor_, Send());
    co_await WaitForRefusal();
    std::optional<bool> shared;
    if (why_not_.empty()) shared = co_await TryCreates();
    over_ = true;
    // They refer to this; each ends with the request that it waits for.
    while (senders_ > 0) co_await wake_.Pop();
    // A fault that refuses here and there looks like a limit only at first.
    if (shared && taken_after_ > refused_) {
      why_not_ = "one event was refused and the next were taken";
    }
    WriteLimit found;
    found.says = why_not_.empty()
                     ? absl::StrCat(Refusal(),
                                    shared.value_or(false)
                                        ? "so was a create right after it: "
                                          "events share the limit of creates"
                                        : "creates right after it were taken: "
                                          "events have a limit of their own")
                     : absl::StrCat("not settled: ", why_not_);
    found.rest = rest_;
    co_return found;
  }

 private:
  // One of several.
  Async<void> Send() {
    while (!over_ && sent_ < options_.writes_max +
                                 (refused_ > 0 ? options_.more_max : 0)) {
      ++sent_;
      const absl::Status status = co_await write_();
      Note(status);
      if (RetryAfter(status)) co_await Sleep(executor_, kAfterRefusal);
    }
    --senders_;
    wake_.Push(true);
  }

  void Note(const absl::Status& status) {
    if (status.ok()) {
      ++(refused_ > 0 ? taken_after_ : taken_);
    } else if (std::optional<absl::Duration> wait = RetryAfter(status)) {
      rest_ = *wait;
      if (++refused_ == 1) {
        first_at_ = clock_.Steady();
        wake_.Push(true);
      }
    } else if (!MayPass(status) || ++failures_ > kFailuresMax) {
      GiveUp(status.message());
      wake_.Push(true);
    }
  }

  Async<void> WaitForRefusal() {
    while (why_not_.empty() && refused_ == 0) {
      const absl::Duration spent = clock_.Steady() - begun_;
      if (senders_ == 0 || spent >= options_.time_max) {
        GiveUp(absl::StrCat("of ", taken_, " events in ", FormatSpan(spent),
                            " none was refused"));
        co_return;
      }
      co_await wake_.Pop(options_.time_max - spent);
    }
  }

  // Whether one was refused; nothing where it does not show.
  Async<std::optional<bool>> TryCreates() {
    for (int i = 0; i < kCreates; ++i) {
      if (i > 0) co_await Sleep(executor_, kBetweenCreates);
      const absl::Status status = co_await create_();
      if (std::optional<absl::Duration> wait = RetryAfter(status)) {
        rest_ = std::max(rest_, *wait);
        co_return true;
      }
      if (!status.ok()) {
        GiveUp(status.message());
        co_return std::nullopt;
      }
    }
    co_return false;
  }

  std::string Refusal() const {
    return absl::StrCat("after ", taken_, " events in ",
                        FormatSpan(first_at_ - begun_),
                        " the service refused one, and ");
  }

  void GiveUp(absl::string_view why) {
    over_ = true;
    if (why_not_.empty()) why_not_ = std::string(why);
  }

  Executor& executor_;
  const Clock& clock_;
  SendRequest& write_;
  SendRequest& create_;
  const WriteLimitOptions options_;
  const absl::Duration begun_;
  Mailbox<bool> wake_;  // at most one for each sender, and two
  bool over_ = false;
  int senders_ = 0;
  int sent_ = 0;
  int taken_ = 0;  // before the first refusal
  int taken_after_ = 0;
  int refused_ = 0;
  int failures_ = 0;
  absl::Duration first_at_;  // of the first refusal
  absl::Duration rest_;
  std::string why_not_;
};

}  // namespace

Async<WriteLimit> FindWriteLimit(Executor& executor, const Clock& clock,
                                 SendRequest& write, SendRequest& create,
                                 WriteLimitOptions options) {
  Search search(executor, clock, write, create, options);
  co_return co_await search.Run();
}

}  // namespace midwatch::cli
