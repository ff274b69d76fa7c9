#include "worker/attach_line.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// How far the service's clock may be behind ours.
constexpr absl::Duration kClockMargin = absl::Minutes(10);
// For those that come at once to be looked for together.
constexpr absl::Duration kGather = absl::Seconds(1);
constexpr absl::Duration kLookAgain = absl::Seconds(5);
// An account may hold far more sessions than this worker's: a list is worth a
// page for every so many that wait, each of which it may save a read.
constexpr size_t kPlacesPerPage = 4;
// For a list twice as long as what waits, nobody is let on meanwhile.
constexpr size_t kPlacesPerPageToStand = 50;

}  // namespace

class AttachLine::Turn final : public AttachTurn {
 public:
  Turn(AttachLine& line, Session session)
      : line_(line), session_(std::move(session)) {}
  ~Turn() override { Leave(); }

  void Enter(Done done) override {
    Leave();
    number_ = line_.Enter(session_, std::move(done));
    if (hurried_) {
      line_.LetOn(number_);
    } else {
      line_.LetOn();
    }
  }
  void Hurry() override {
    hurried_ = true;
    if (number_ != 0) line_.LetOn(number_);
  }
  void Leave() override {
    if (number_ != 0) line_.Leave(std::exchange(number_, 0));
  }

 private:
  AttachLine& line_;
  const Session session_;
  uint64_t number_ = 0;  // 0: not in the line
  bool hurried_ = false;
};

std::unique_ptr<AttachTurn> AttachLine::TurnOf(Session session) {
  return std::make_unique<Turn>(*this, std::move(session));
}

AttachLine::Rank AttachLine::RankOf(uint64_t number, const Place& place) {
  return {place.budget_left, place.session.deadline, number};
}

uint64_t AttachLine::Enter(Session session, Done done) {
  const uint64_t number = next_number_++;
  numbers_[session.id] = number;
  Place& place = waiting_[number];
  place.session = std::move(session);
  place.done = std::move(done);
  place.budget_left = place.session.budget_usd_micros;
  queues_[place.by].order.insert(RankOf(number, place));
  return number;
}

void AttachLine::Leave(uint64_t number) {
  auto found = waiting_.find(number);
  if (found != waiting_.end()) {
    Forget(number, found->second);
    waiting_.erase(found);
    return;
  }
  for (auto& [by, queue] : queues_) {
    if (queue.under_way.erase(number) > 0) return LetOn();
  }
}

void AttachLine::LetOn() {
  if (stands_) return;
  LetOn(AttachBy::kHistory);
  LetOn(AttachBy::kStream);
  if (waiting_.empty() || std::exchange(watching_, true)) return;
  Spawn(executor_, Watch(*this));
}

void AttachLine::LetOn(AttachBy by) {
  Queue& queue = queues_[by];
  while (queue.under_way.size() < kAtOnceMax && !queue.order.empty()) {
    LetOn(std::get<uint64_t>(*queue.order.begin()));
  }
}

void AttachLine::LetOn(uint64_t number) {
  auto place = waiting_.extract(number);
  if (place.empty()) return;
  Forget(number, place.mapped());
  const AttachBy by = place.mapped().by;
  queues_[by].under_way.insert(number);
  place.mapped().done(by);
}

// A session may stand in line twice: for an attempt that has lost its lease and
// for the one that has it now.
void AttachLine::Forget(uint64_t number, const Place& place) {
  queues_[place.by].order.erase(RankOf(number, place));
  auto known = numbers_.find(place.session.id);
  if (known != numbers_.end() && known->second == number) {
    numbers_.erase(known);
  }
}

Async<void> AttachLine::Watch(AttachLine& self) {
  co_await Sleep(self.executor_, kGather);
  while (!self.waiting_.empty()) {
    absl::Status looked = co_await self.Look();
    self.stands_ = false;
    self.LetOn();
    if (!looked.ok()) {
      LogInfo("cannot list sessions", {{"why", looked.ToString()}});
    }
    absl::Duration slept = absl::ZeroDuration();
    while (!self.waiting_.empty() && slept < kWatchEvery &&
           (slept == absl::ZeroDuration() || !self.MostAreNew())) {
      co_await Sleep(self.executor_, kLookAgain);
      slept += kLookAgain;
    }
  }
  self.watching_ = false;
}

bool AttachLine::MostAreNew() const {
  const auto listed =
      std::count_if(waiting_.begin(), waiting_.end(),
                    [](const auto& entry) { return entry.second.listed; });
  return static_cast<size_t>(listed) * 2 < waiting_.size();
}

Async<absl::Status> AttachLine::Look() {
  ListSessionsQuery query;
  query.purpose = RequestPurpose::kNormal;
  query.created_from = absl::InfiniteFuture();
  for (auto& [number, place] : waiting_) {
    query.created_from =
        std::min(query.created_from, place.session.created_from - kClockMargin);
    place.listed = true;
  }
  const size_t waiting = waiting_.size();
  size_t pages = 0, found = 0;
  do {
    stands_ = pages <= waiting / kPlacesPerPageToStand;
    LetOn();
    ListSessionsQuery copy = query;
    CO_ASSIGN_OR_RETURN(Page<midwatch::Session> page,
                        co_await client_.ListSessions(std::move(copy)));
    ++pages;
    for (const midwatch::Session& seen : page.items) found += Note(seen);
    query.page = page.next_page;
  } while (!query.page.empty() && pages < waiting / kPlacesPerPage &&
           !waiting_.empty());
  LogInfo("listed sessions that wait to be attached",
          {{"waiting", waiting}, {"found", found}, {"pages", pages}});
  co_return absl::OkStatus();
}

bool AttachLine::Note(const midwatch::Session& seen) {
  auto number = numbers_.find(seen.id);
  if (number == numbers_.end()) return false;
  Place& place = waiting_.at(number->second);
  queues_[place.by].order.erase(RankOf(number->second, place));
  place.by = seen.status == "idle" || seen.status == "terminated"
                 ? AttachBy::kHistory
                 : AttachBy::kStream;
  place.budget_left =
      place.session.budget_usd_micros - seen.list_cost_usd_micros.value_or(0);
  queues_[place.by].order.insert(RankOf(number->second, place));
  return true;
}

}  // namespace midwatch
