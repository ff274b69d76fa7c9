#include "agents/event_stream.h"

#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agents/http_errors.h"
#include "net/sse.h"

namespace midwatch {
namespace {

class SseEventStream final : public EventStream {
 public:
  SseEventStream(std::unique_ptr<HttpStream> stream, Executor& executor,
                 absl::Duration idle_timeout)
      : stream_(std::move(stream)),
        executor_(executor),
        idle_timeout_(idle_timeout) {}
  ~SseEventStream() override {
    executor_.Cancel(watchdog_);
    stream_->Close();
  }

  Async<absl::StatusOr<Event>> Next() override {
    while (true) {
      while (!frames_.empty()) {
        SseFrame frame = std::move(frames_.front());
        frames_.pop_front();
        if (frame.event == "error") {
          co_return ToStatus(ErrorOfFrame("stream_events", frame.data));
        }
        absl::StatusOr<Event> event = ParseEvent(frame.data);
        if (event.ok() && event->type != "ping") co_return event;
      }
      absl::Status status = co_await ReadMore();
      if (!status.ok()) co_return status;
    }
  }

  void Close() override { stream_->Close(); }

 private:
  Async<absl::Status> ReadMore() {
    watchdog_ = executor_.After(idle_timeout_, [this] {
      silent_ = true;
      stream_->Close();
    });
    absl::StatusOr<std::string> bytes = co_await stream_->Read();
    executor_.Cancel(watchdog_);
    if (silent_) {
      co_return absl::DeadlineExceededError(
          absl::StrCat("stream_events: nothing came for ",
                       absl::FormatDuration(idle_timeout_)));
    }
    if (absl::IsCancelled(bytes.status())) co_return bytes.status();
    if (!bytes.ok()) {
      co_return ToStatus(ErrorOfLoss("stream_events", bytes.status()));
    }
    if (bytes->empty()) {
      co_return ToStatus(ErrorOfLoss(
          "stream_events", absl::UnavailableError("the service ended the "
                                                  "stream")));
    }
    std::vector<SseFrame> frames;
    absl::Status fed = parser_.Feed(*bytes, frames);
    if (!fed.ok()) co_return ToStatus(ErrorOfLoss("stream_events", fed));
    for (SseFrame& frame : frames) frames_.push_back(std::move(frame));
    co_return absl::OkStatus();
  }

  std::unique_ptr<HttpStream> stream_;
  Executor& executor_;
  absl::Duration idle_timeout_;
  SseParser parser_;
  std::list<SseFrame> frames_;  // no deque: see Mailbox
  Executor::TimerId watchdog_ = 0;
  bool silent_ = false;
};

}  // namespace

std::unique_ptr<EventStream> MakeEventStream(std::unique_ptr<HttpStream> stream,
                                             Executor& executor,
                                             absl::Duration idle_timeout) {
  return std::make_unique<SseEventStream>(std::move(stream), executor,
                                          idle_timeout);
}

}  // namespace midwatch
