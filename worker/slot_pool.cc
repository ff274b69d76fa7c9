#include "worker/slot_pool.h"

#include <algorithm>

#include "worker/attempt.h"

namespace midwatch {
namespace {

constexpr int kSlotsPerAsk = 64;
// How long "no slots are needed" is believed, and how late reports may be.
constexpr absl::Duration kFreeFor = absl::Seconds(5);
constexpr absl::Duration kLateMax = absl::Seconds(5);
constexpr absl::Duration kReportWithin = absl::Seconds(3);
constexpr absl::Duration kAskAgainMin = absl::Milliseconds(10);
constexpr absl::Duration kAskAgainMax = absl::Seconds(5);
constexpr absl::Duration kAskFailedDelay = absl::Milliseconds(500);

v1::RequestClass WordOf(RequestClass request_class) {
  switch (request_class) {
    case RequestClass::kCreate:
      return v1::REQUEST_CLASS_CREATE;
    case RequestClass::kWrite:
      return v1::REQUEST_CLASS_WRITE;
    case RequestClass::kRead:
      return v1::REQUEST_CLASS_READ;
    case RequestClass::kFiles:
      break;
  }
  return v1::REQUEST_CLASS_FILES;
}

v1::SlotPurpose WordOf(RequestPurpose purpose) {
  switch (purpose) {
    case RequestPurpose::kUrgent:
      return v1::SLOT_PURPOSE_URGENT;
    case RequestPurpose::kNormal:
      return v1::SLOT_PURPOSE_NORMAL;
    case RequestPurpose::kSpare:
      break;
  }
  return v1::SLOT_PURPOSE_SPARE;
}

google::protobuf::Duration ProtoOf(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return proto;
}

}  // namespace

SlotPool::SlotPool(Executor& executor, const Clock& clock,
                   SchedulerClient& scheduler, std::string account)
    : executor_(executor),
      clock_(clock),
      scheduler_(scheduler),
      account_(std::move(account)) {}

void SlotPool::AddCreate(absl::Duration after) {
  creates_.push_back(clock_.Steady() + after);
}

bool SlotPool::Free(RequestClass request_class) const {
  auto found = classes_.find(request_class);
  return found != classes_.end() &&
         clock_.Steady() < found->second.free_until &&
         clock_.Steady() >= found->second.stopped_until;
}

Async<absl::Status> SlotPool::Pass(RequestClass request_class,
                                   RequestPurpose purpose,
                                   absl::Duration within) {
  if (request_class == RequestClass::kCreate) {
    bool passed = co_await PassWithGrant();
    if (passed) co_return absl::OkStatus();
  }
  if (Free(request_class)) co_return absl::OkStatus();
  absl::AnyInvocable<void(Done)> start =
      [this, key = LineKey(request_class, purpose), within](Done done) {
        Enter(key, within, std::move(done));
      };
  co_return co_await AwaitCallback<absl::Status>(executor_, std::move(start));
}

Async<bool> SlotPool::PassWithGrant() {
  const absl::Duration now = clock_.Steady();
  std::erase_if(creates_,
                [now](absl::Duration due) { return now > due + kLateMax; });
  auto first = std::min_element(creates_.begin(), creates_.end());
  if (first == creates_.end()) co_return false;
  const absl::Duration wait = *first - now;
  creates_.erase(first);
  const int refusals = classes_[RequestClass::kCreate].refusals;
  if (wait > absl::ZeroDuration()) co_await Sleep(executor_, wait);
  co_return classes_[RequestClass::kCreate].refusals == refusals;
}

void SlotPool::Enter(LineKey key, absl::Duration within, Done done) {
  Line& line = lines_[key];
  const uint64_t number = next_waiter_++;
  Waiter& waiter = line.waiters[number];
  waiter.done = std::move(done);
  waiter.give_up = executor_.After(within, [this, key, number] {
    std::map<uint64_t, Waiter>& waiters = lines_[key].waiters;
    auto late = waiters.find(number);
    if (late == waiters.end()) return;
    Done end = std::move(late->second.done);
    waiters.erase(late);
    end(absl::DeadlineExceededError(
        "the account's rate limit left no room in time"));
  });
  if (line.asking) return;
  line.asking = true;
  Spawn(executor_, Ask(*this, key));
}

void SlotPool::LetPass(LineKey key) {
  std::map<uint64_t, Waiter>& waiters = lines_[key].waiters;
  if (waiters.empty()) return;  // it gave up
  Waiter first = std::move(waiters.begin()->second);
  waiters.erase(waiters.begin());
  executor_.Cancel(first.give_up);
  first.done(absl::OkStatus());
}

Async<void> SlotPool::Ask(SlotPool& self, LineKey key) {
  Line& line = self.lines_[key];
  while (line.waiters.size() > line.due) {
    v1::AskSlotsRequest request;
    request.set_account(self.account_);
    v1::SlotWish& wish = *request.add_wishes();
    wish.set_request_class(WordOf(key.first));
    wish.set_purpose(WordOf(key.second));
    wish.set_count(std::min<int>(
        kSlotsPerAsk, static_cast<int>(line.waiters.size() - line.due)));
    self.AddReports(request);
    const int refusals = self.classes_[key.first].refusals;
    absl::StatusOr<v1::AskSlotsResponse> answer =
        co_await self.scheduler_.AskSlots(std::move(request));
    if (!answer.ok() || answer->grants_size() != 1) {
      co_await Sleep(self.executor_, kAskFailedDelay);
      continue;
    }
    // A refusal came meanwhile: what was given before it is void.
    if (self.classes_[key.first].refusals != refusals) continue;
    absl::Duration delay = self.Deal(key, answer->grants(0));
    if (delay > absl::ZeroDuration()) co_await Sleep(self.executor_, delay);
  }
  line.asking = false;
}

absl::Duration SlotPool::Deal(LineKey key, const v1::SlotGrant& grant) {
  Line& line = lines_[key];
  ClassState& state = classes_[key.first];
  if (grant.unlimited()) {
    state.free_until = clock_.Steady() + kFreeFor;
    while (!line.waiters.empty()) LetPass(key);
    return absl::ZeroDuration();
  }
  for (const google::protobuf::Duration& offset : grant.offsets()) {
    ++line.due;
    executor_.After(FromProto(offset), [this, key, refusals = state.refusals] {
      if (classes_[key.first].refusals != refusals) return;
      --lines_[key].due;
      LetPass(key);
    });
  }
  if (!grant.has_ask_again()) return absl::ZeroDuration();
  return std::clamp(FromProto(grant.ask_again()), kAskAgainMin, kAskAgainMax);
}

void SlotPool::Note(RequestClass request_class, int http_status,
                    std::optional<absl::Duration> retry_after) {
  ClassState& state = classes_[request_class];
  PlanReport();
  if (http_status >= 500) {
    ++state.troubled;
  } else if (http_status != 429) {
    ++state.accepted;
  } else if (retry_after) {
    // Without a time to come back it is not about rates.
    state.retry_after = std::max(
        state.retry_after.value_or(absl::ZeroDuration()), *retry_after);
    state.stopped_until =
        std::max(state.stopped_until, clock_.Steady() + *retry_after);
    ++state.refusals;
    ++state.refused;
    if (request_class == RequestClass::kCreate) creates_.clear();
    for (auto& [key, line] : lines_) {
      if (key.first != request_class) continue;
      line.due = 0;
      if (line.asking || line.waiters.empty()) continue;
      line.asking = true;
      Spawn(executor_, Ask(*this, key));
    }
    Spawn(executor_, Report(*this));
  }
}

Async<void> SlotPool::Report(SlotPool& self) {
  v1::AskSlotsRequest request;
  request.set_account(self.account_);
  self.AddReports(request);
  // Where the answer is lost, the next refusal says it again.
  if (request.reports_size() > 0) {
    (void)co_await self.scheduler_.AskSlots(std::move(request));
  }
}

void SlotPool::PlanReport() {
  if (std::exchange(report_planned_, true)) return;
  executor_.After(kReportWithin, [this] {
    report_planned_ = false;
    Spawn(executor_, Report(*this));
  });
}

void SlotPool::AddReports(v1::AskSlotsRequest& request) {
  for (auto& [request_class, state] : classes_) {
    if (state.accepted + state.troubled == 0 && !state.retry_after) continue;
    v1::RequestReport& report = *request.add_reports();
    report.set_request_class(WordOf(request_class));
    report.set_accepted(std::exchange(state.accepted, 0));
    report.set_troubled(std::exchange(state.troubled, 0));
    report.set_refused(std::exchange(state.refused, 0));
    if (state.retry_after) {
      *report.mutable_retry_after() = ProtoOf(*state.retry_after);
      state.retry_after.reset();
    }
  }
}

}  // namespace midwatch
