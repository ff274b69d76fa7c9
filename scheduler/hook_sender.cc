#include "scheduler/hook_sender.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "net/hook_url.h"
#include "scheduler/hook_message.h"
#include "scheduler/hook_rules.h"

namespace midwatch {
namespace {

constexpr absl::Duration kHookSayAgain = absl::Seconds(1);
// Among so many that are due, a server that answers late does not hold up
// others.
constexpr int kLookedAt = 100;
constexpr int64_t kAnswerBytesMax = 64 << 10;  // it is not read

std::string KeyName(const std::string& secret) {
  return secret.empty() ? "default" : secret;
}

}  // namespace

HookSender::HookSender(Executor& executor, const Clock& clock, Random& random,
                       Store& store, const Ids& ids, HookOptions options,
                       std::function<void(absl::Time)> plan_timers)
    : executor_(executor),
      clock_(clock),
      random_(random),
      store_(store),
      ids_(ids),
      options_(std::move(options)),
      plan_timers_(std::move(plan_timers)) {}

absl::Status HookSender::Check(const OpenBatch& batch) const {
  if (options_.transport == nullptr) return absl::OkStatus();
  const std::pair<const char*, const v1::Hook*> hooks[] = {
      {"open.on_finish", &batch.on_finish},
      {"open.on_failure", &batch.on_failure},
      {"open.on_risk", &batch.on_risk}};
  for (const auto& [field, hook] : hooks) {
    if (hook->url().empty()) continue;
    absl::Status url = CheckHookUrl(hook->url(), options_.plain_http);
    if (!url.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".url: ", url.message()));
    }
    if (options_.keys.count(KeyName(hook->secret())) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          field, ".secret: the scheduler has no secret '",
          KeyName(hook->secret()),
          "'; name it in the file that it is started with (--hook-secrets)"));
    }
  }
  return absl::OkStatus();
}

void HookSender::Wake() { Look(); }

void HookSender::Look() {
  // With no room, each end looks again.
  if (options_.transport == nullptr || trying_.size() >= kHooksAtOnce) return;
  if (looking_) {
    look_again_ = true;
    return;
  }
  looking_ = true;
  look_again_ = false;
  store_.Read<std::vector<DueHook>>(
      [now = clock_.Now()](StoreReader& reader) {
        return reader.ListDueHooks(now, kLookedAt);
      },
      [this](absl::StatusOr<std::vector<DueHook>> due) {
        looking_ = false;
        if (!due.ok()) {
          LogWarning("hooks stand still", {{"why", due.status().message()}});
          executor_.After(kHookSayAgain, [this] { Look(); });
          return;
        }
        for (DueHook& hook : *due) {
          std::string origin = HookOrigin(hook.url);
          if (!HasRoom(origin)) continue;
          if (!trying_.try_emplace(hook.id, std::move(origin)).second) continue;
          Spawn(executor_, Deliver(std::move(hook)));
        }
        if (look_again_) Look();
      });
}

bool HookSender::HasRoom(const std::string& origin) const {
  return trying_.size() < kHooksAtOnce &&
         std::count_if(trying_.begin(), trying_.end(), [&](const auto& trying) {
           return trying.second == origin;
         }) < kHooksPerOrigin;
}

absl::StatusOr<HttpRequest> HookSender::RequestFor(const DueHook& hook) const {
  // The rule of the scheduler that sends, not of the one that took the batch.
  absl::Status allowed = CheckHookUrl(hook.url, options_.plain_http);
  if (!allowed.ok()) return absl::FailedPreconditionError(allowed.message());
  auto key = options_.keys.find(KeyName(hook.secret));
  if (key == options_.keys.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the scheduler has no secret '", KeyName(hook.secret),
                     "' (--hook-secrets)"));
  }
  v1::HookNews news = hook.news;
  news.mutable_batch()->set_batch_id(ids_.Format(hook.batch));
  if (hook.task) news.mutable_task()->set_task_id(ids_.Format(*hook.task));
  const std::string id = HookMessageId(news.batch().batch_id(), news.event());
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  std::string body = HookBody(news);
  HttpRequest request;
  request.method = "POST";
  request.url = hook.url;
  request.headers = {
      {"content-type", "application/json"},
      {"webhook-id", id},
      {"webhook-timestamp", absl::StrCat(now)},
      {"webhook-signature", SignHook(key->second, id, now, body)}};
  request.body.push_back({std::move(body), ""});
  request.timeout = kHookTimeout;
  request.response_bytes_max = kAnswerBytesMax;
  return request;
}

Async<void> HookSender::Deliver(DueHook hook) {
  absl::StatusOr<HttpRequest> request = RequestFor(hook);
  absl::StatusOr<HttpResponse> answer = absl::InternalError("not asked");
  if (request.ok()) {
    answer = co_await options_.transport->Fetch(*std::move(request));
  } else {
    answer = request.status();
  }
  const int tries = hook.tries + 1;
  HookVerdict verdict = JudgeHookTry(answer, tries, random_.Fraction());
  if (!verdict.why.empty()) {
    LogWarning("hook failed", {{"batch", ids_.Format(hook.batch)},
                               {"to", HookOrigin(hook.url)},
                               {"tries", tries},
                               {"why", verdict.why}});
  }
  Note({.hook = hook.id,
        .tries = tries,
        .end = verdict.end,
        .due = clock_.Now() + verdict.delay,
        .why = std::move(verdict.why)});
}

void HookSender::Note(NoteHookTry note) {
  store_.Apply(note, [this, note](absl::StatusOr<Done> noted) {
    // Gone with its batch, it is nobody's.
    if (!noted.ok() && !absl::IsNotFound(noted.status())) {
      executor_.After(kHookSayAgain, [this, note] { Note(note); });
      return;
    }
    trying_.erase(note.hook);
    if (note.end == HookEnd::kAgain) plan_timers_(note.due);
    Look();
  });
}

}  // namespace midwatch
