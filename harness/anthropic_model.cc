#include "harness/anthropic_model.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "harness/messages_error.h"
#include "harness/messages_request.h"

namespace midwatch::harness {
namespace {

constexpr char kVersion[] = "2023-06-01";
constexpr absl::Duration kHeadersTimeout = absl::Minutes(5);
constexpr size_t kErrorBytesMax = 64 << 10;
// A model that pauses more often than this in one answer gets nowhere.
constexpr int kPausesMax = 10;

// Closes a stream on which nothing comes for too long.
class Watchdog {
 public:
  Watchdog(Executor& executor, HttpStream& stream, absl::Duration silence_max)
      : executor_(executor), stream_(stream), silence_max_(silence_max) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { executor_.Cancel(timer_); }

  void Restart() {
    executor_.Cancel(timer_);
    timer_ = executor_.After(silence_max_, [this] {
      barked_ = true;
      stream_.Close();
    });
  }
  bool barked() const { return barked_; }

 private:
  Executor& executor_;
  HttpStream& stream_;
  const absl::Duration silence_max_;
  Executor::TimerId timer_ = 0;
  bool barked_ = false;
};

// As much of an error's body as is of use.
Async<std::string> ReadError(HttpStream& stream, Watchdog& watchdog) {
  std::string body;
  while (body.size() < kErrorBytesMax) {
    watchdog.Restart();
    absl::StatusOr<std::string> bytes = co_await stream.Read();
    if (!bytes.ok() || bytes->empty()) break;
    body += *bytes;
  }
  co_return body;
}

}  // namespace

Async<ModelStep> AnthropicModel::Next(ModelRequest request, ModelCall& call) {
  Json body = MessagesBody(request, options_.max_tokens);
  std::string said;  // before a pause
  for (int pauses = 0; pauses <= kPausesMax; ++pauses) {
    MessagesAnswer answer = co_await Ask(request.model, Dump(body), call);
    ModelStep step;
    if (answer.failure()) {
      step.failure = answer.failure();
      co_return step;
    }
    step = answer.ToStep();
    if (!step.failure || !step.failure->retry) {
      step.message = said + step.message;
    }
    if (answer.stop_reason() != "pause_turn") co_return step;
    said = std::move(step.message);
    Json paused = {{"role", "assistant"}, {"content", answer.Content()}};
    body["messages"].push_back(std::move(paused));
  }
  ModelStep step;
  step.failure = ModelFailure{
      "model_request_failed_error",
      absl::StrCat("the model paused more than ", kPausesMax, " times"), false,
      std::nullopt};
  co_return step;
}

Async<MessagesAnswer> AnthropicModel::Ask(std::string model, std::string body,
                                          ModelCall& call) {
  MessagesAnswer answer;
  HttpRequest request;
  request.method = "POST";
  request.url = absl::StrCat(options_.base_url, "/v1/messages");
  request.headers = {{"content-type", "application/json"},
                     {"accept", "text/event-stream"},
                     {"anthropic-version", kVersion}};
  if (!options_.api_key.empty()) {
    request.headers.emplace_back("x-api-key", options_.api_key);
  }
  request.body.push_back({std::move(body), ""});
  request.timeout = kHeadersTimeout;
  absl::StatusOr<std::unique_ptr<HttpStream>> opened =
      co_await transport_.OpenStream(std::move(request));
  if (!opened.ok()) {
    answer.Fail(FailureOfLoss(opened.status()));
    co_return answer;
  }
  HttpStream& stream = **opened;
  if (call.cancelled()) stream.Close();
  call.OnCancel([&stream] { stream.Close(); });
  co_await ReadAnswer(std::move(model), stream, answer, call);
  call.OnCancel(nullptr);
  co_return answer;
}

Async<void> AnthropicModel::ReadAnswer(std::string model, HttpStream& stream,
                                       MessagesAnswer& answer,
                                       ModelCall& call) {
  Watchdog watchdog(executor_, stream, options_.silence_max);
  if (stream.status() < 200 || stream.status() > 299) {
    std::string body = co_await ReadError(stream, watchdog);
    answer.Fail(
        FailureOfAnswer(stream.status(), stream.headers(), body, clock_.Now()));
    co_return;
  }
  // Of the pauses before.
  const TokenUsage usage = call.usage;
  const int64_t price_usd_micros = call.price_usd_micros;
  SseParser parser(MessagesAnswer::kContentBytesMax);
  std::vector<SseFrame> frames;
  while (!answer.complete() && !answer.failure()) {
    watchdog.Restart();
    absl::StatusOr<std::string> bytes = co_await stream.Read();
    absl::Status status = bytes.status();
    if (status.ok() && bytes->empty()) {
      status = absl::UnavailableError("the answer ended before its end");
    } else if (watchdog.barked()) {
      status = absl::UnavailableError(absl::StrCat(
          "nothing came for ", absl::FormatDuration(options_.silence_max)));
    }
    frames.clear();
    if (status.ok()) status = parser.Feed(*bytes, frames);
    if (!status.ok()) answer.Fail(FailureOfLoss(status));
    for (const SseFrame& frame : frames) {
      if (answer.complete() || answer.failure()) break;
      answer.Feed(frame);
    }
    call.usage = usage + answer.usage();
    call.price_usd_micros =
        price_usd_micros + PriceOf(options_.prices, model, answer.usage());
  }
}

}  // namespace midwatch::harness
