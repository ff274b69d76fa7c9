#include "scheduler/event_feeds.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "scheduler/rich_error.h"

namespace midwatch {
namespace {

// Ends that nobody notifies of (a batch's cancel, a lapsed worker's retry) are
// seen this late.
constexpr absl::Duration kLookAgain = absl::Seconds(2);

bool IsFinalState(v1::TaskState state) {
  return state >= v1::TASK_STATE_SUCCEEDED;
}

const AttemptRecord* Find(const TaskRecord& task, int32_t number) {
  for (const AttemptRecord& attempt : task.attempt_list) {
    if (attempt.number == number) return &attempt;
  }
  return nullptr;
}

// The newest attempt with events, else the newest; 0 where there is none.
absl::StatusOr<int32_t> ChooseAttempt(StoreReader& reader,
                                      const TaskRecord& task) {
  for (auto each = task.attempt_list.rbegin(); each != task.attempt_list.rend();
       ++each) {
    ASSIGN_OR_RETURN(int64_t events, reader.CountEvents(each->grant_seq));
    if (events > 0) return each->number;
  }
  return task.attempt_list.empty() ? 0 : task.attempt_list.back().number;
}

}  // namespace

absl::StatusOr<EventFeeds::Place> EventFeeds::ParseToken(
    const v1::FollowTaskEventsRequest& request) {
  Place place{.attempt = request.attempt()};
  if (request.attempt() < 0) {
    return absl::InvalidArgumentError("attempt: negative");
  }
  if (request.resume_token().empty()) return place;
  std::vector<std::string> parts = absl::StrSplit(request.resume_token(), '.');
  bool known = parts.size() == 2 &&
               absl::SimpleAtoi(parts[0], &place.attempt) &&
               absl::SimpleAtoi(parts[1], &place.sequence) &&
               place.attempt >= 0 && place.sequence >= 0;
  if (known && request.attempt() != 0)
    known = place.attempt == request.attempt();
  if (known) return place;
  return absl::InvalidArgumentError(
      "resume_token: not one that this feed gave out");
}

void EventFeeds::Follow(const v1::FollowTaskEventsRequest& request,
                        std::shared_ptr<Sink> sink) {
  absl::StatusOr<RowKey> task = ids_.Parse("task_id", request.task_id());
  if (!task.ok()) return sink->Finish(task.status());
  absl::StatusOr<Place> place = ParseToken(request);
  if (!place.ok()) return sink->Finish(place.status());
  int64_t id = next_id_++;
  followers_[id] = Follower{.task = *task,
                            .one_attempt = request.attempt() != 0,
                            .place = *place,
                            .sink = std::move(sink)};
  Pump(id);
}

void EventFeeds::Lose(const Sink* sink) {
  for (auto each = followers_.begin(); each != followers_.end(); ++each) {
    if (each->second.sink.get() != sink) continue;
    executor_.Cancel(each->second.timer);
    followers_.erase(each);
    return;
  }
}

void EventFeeds::Notify(int64_t task) {
  for (auto& [id, follower] : followers_) {
    if (follower.task.row != task) continue;
    if (follower.busy) {
      follower.dirty = true;
    } else {
      Pump(id);
    }
  }
}

absl::StatusOr<EventFeeds::Step> EventFeeds::ReadStep(StoreReader& reader,
                                                      RowKey key,
                                                      bool one_attempt,
                                                      Place place) {
  // The task first: what it says is over has all its events stored.
  ASSIGN_OR_RETURN(TaskRecord task, reader.GetTask(key));
  Step step;
  step.message.set_state(task.state);
  if (place.attempt == 0) {
    ASSIGN_OR_RETURN(place.attempt, ChooseAttempt(reader, task));
  }
  const AttemptRecord* attempt = Find(task, place.attempt);
  if (attempt == nullptr && place.attempt != 0) {
    return absl::NotFoundError(
        absl::StrCat("the task has no attempt ", place.attempt));
  }
  std::vector<std::string> events;
  while (attempt != nullptr) {
    ASSIGN_OR_RETURN(events,
                     reader.ReadEvents(attempt->grant_seq, place.sequence));
    const AttemptRecord* next = Find(task, place.attempt + 1);
    if (!events.empty() || one_attempt || next == nullptr) break;
    attempt = next;
    place = {next->number, 0};
  }
  step.message.set_attempt(place.attempt);
  for (std::string& event : events) {
    v1::TaskEvent& out = *step.message.add_events();
    out.set_sequence(place.sequence++);
    out.set_json(std::move(event));
  }
  step.message.set_resume_token(
      absl::StrCat(place.attempt, ".", place.sequence));
  step.place = place;
  bool attempt_over =
      attempt != nullptr && attempt->ended_at != absl::InfiniteFuture();
  step.end = step.message.events().empty() &&
             (IsFinalState(task.state) || (one_attempt && attempt_over));
  return step;
}

void EventFeeds::Pump(int64_t id) {
  Follower& follower = followers_[id];
  follower.busy = true;
  follower.dirty = false;
  executor_.Cancel(follower.timer);
  store_.Read<Step>(
      [task = follower.task, one = follower.one_attempt,
       place = follower.place](StoreReader& reader) {
        return ReadStep(reader, task, one, place);
      },
      [this, id](absl::StatusOr<Step> step) {
        if (!followers_.contains(id)) return;
        if (!step.ok()) {
          return End(id, WithResource(step.status(), "midwatch.v1.Task",
                                      ids_.Format(followers_[id].task)));
        }
        Send(id, *std::move(step));
      });
}

void EventFeeds::Send(int64_t id, Step step) {
  Follower& follower = followers_[id];
  follower.place = step.place;
  bool news =
      step.message.events_size() > 0 || follower.told != step.message.state();
  follower.told = step.message.state();
  if (!news) return step.end ? End(id, absl::OkStatus()) : Rest(id);
  // After events more may be stored already.
  follower.dirty |= step.message.events_size() > 0;
  // One page is under way at a time: the next is read once this one is taken.
  follower.sink->Send(std::move(step.message), [this, id, end = step.end] {
    if (!followers_.contains(id)) return;
    if (end) return End(id, absl::OkStatus());
    Rest(id);
  });
}

void EventFeeds::Rest(int64_t id) {
  Follower& follower = followers_[id];
  if (follower.dirty) return Pump(id);
  follower.busy = false;
  follower.timer = executor_.After(kLookAgain, [this, id] { Pump(id); });
}

void EventFeeds::End(int64_t id, absl::Status status) {
  std::shared_ptr<Sink> sink = std::move(followers_[id].sink);
  followers_.erase(id);
  sink->Finish(std::move(status));
}

}  // namespace midwatch
