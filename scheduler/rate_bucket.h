// How many requests of one class an organization may send, and when.
//
//   slot     the right to make one request at a given time
//   limit    what the configuration allows
//   rate     what is handed out now: the limit, or less where the service was
//            seen to accept less
//   stop     after a refusal: no slot lies before its end
//
// In any span of time no more slots lie than `burst` and what the rate gives
// in it. Slots are handed out a little ahead, and the further ahead a purpose
// may reach, the surer it is of its turn: what was begun goes before what is
// to be started, and what can wait takes only what nobody else has taken.
//
// A refusal (429) stops the bucket until the service's retry-after, and begins
// a search for what the service gives: the rate becomes 0.97 times what was
// accepted in the last minute of sending, or 0.8 times itself while there is no
// such minute (half, from the fifth such step on), and again with each refusal,
// until the service accepts far more than it did at the rates before. Where the
// last step was too large, the rate then comes half the way back to the one
// that was refused, again and again. After that it grows by 3 %, no oftener
// than every five minutes, and never above the limit; where it is refused it is
// again what it was, and the next growth waits twice as long.
//
// But a refusal need not be about the rate. One that comes while little is
// sent leaves it as it is. And a search that comes to a twentieth of the limit
// has shown that slower is no better: the rate is the limit again, and refusals
// only stop the bucket, for half an hour or more.
//
// Pure: no I/O, and no clock but the `now` of each call, which is a steady
// clock's and never steps back.
#ifndef MIDWATCH_SCHEDULER_RATE_BUCKET_H_
#define MIDWATCH_SCHEDULER_RATE_BUCKET_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

namespace midwatch {

struct RateLimit {
  // 0: without limit, until the service refuses.
  double per_minute = 0;
  // How many may be sent at one moment after a pause. At least 1.
  int burst = 1;

  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// In falling order of how far ahead slots may lie: see ReachOf.
enum class SlotPurpose {
  kUrgent,  // cancel, answers, re-attaching: a tenth is kept for these
  kNormal,  // what an attempt that is on needs
  kStart,   // creates of new attempts
  kSpare,   // archives, the sweep
};

// A slot for `purpose` lies at most this far ahead.
absl::Duration ReachOf(SlotPurpose purpose);

class RateBucket {
 public:
  // Begins empty: what an earlier life of the scheduler sent is not known.
  RateBucket(RateLimit limit, absl::Duration now);

  // Takes one slot and returns when it is, or nothing where none lies within
  // the purpose's reach.
  std::optional<absl::Duration> Take(absl::Duration now, SlotPurpose purpose);
  // Takes a slot however far ahead it lies: for what is committed already.
  absl::Duration TakeNext(absl::Duration now);
  // How many Take would give now, `most` at most.
  int Room(absl::Duration now, SlotPurpose purpose, int most) const;
  // When Take is next worth calling; `now` where it is now.
  absl::Duration NextRoom(absl::Duration now, SlotPurpose purpose) const;

  // What became of requests, as workers report it.
  void NoteAccepted(absl::Duration now, int count);
  // `count` answers of 429. Refusals within one round trip of the first are
  // one. Slots that are out are void: whoever holds them asks again.
  void NoteRefused(absl::Duration now, absl::Duration retry_after,
                   int count = 1);
  // 5xx and 529: no time to grow.
  void NoteTrouble(absl::Duration now);

  // Takes effect at once; what was learned is kept where it is less.
  void SetLimit(RateLimit limit, absl::Duration now);

  const RateLimit& limit() const { return limit_; }
  bool unlimited() const { return rate_per_minute_ == 0; }
  // 0 where unlimited.
  double rate_per_minute() const { return rate_per_minute_; }
  // Of the last minute.
  int AcceptedLately(absl::Duration now) const;
  // All of them.
  int64_t refused() const { return refused_; }
  // In the past where there is no stop.
  absl::Duration stopped_until() const { return stopped_until_; }

 private:
  absl::Duration Interval() const;
  absl::Duration NextSlot(absl::Duration now) const;
  void MaybeGrow(absl::Duration now);
  // A minute at the rate without a refusal, and not of little.
  bool SentAMinute() const;
  // Whether the service was seen to give the rate: for a minute, and for far
  // more requests than it accepted at the rates that it refused.
  bool IsGiven() const;
  void Lower(absl::Duration now);
  void Step(absl::Duration now);
  void EndSearch();
  void Raise(double per_minute, absl::Duration now);
  void BeginRun();
  // Of the last minute of sending since the last refusal; nothing where it has
  // not lasted so long.
  std::optional<int> AcceptedInAMinute() const;
  void Empty(absl::Duration from);

  RateLimit limit_;
  double rate_per_minute_;
  // The generic cell rate algorithm: when the bucket would be full again, had
  // nothing more been taken from it.
  absl::Duration full_at_;
  absl::Duration stopped_until_ = -absl::InfiniteDuration();
  absl::Duration refused_at_ = -absl::InfiniteDuration();
  absl::Duration retry_after_;  // as it was said then
  absl::Duration changed_at_;   // the rate, or trouble since
  // Seconds in which something was accepted, the last ones.
  struct Second {
    int64_t number;
    int accepted;
  };
  std::deque<Second> seconds_;
  size_t clean_ = 0;  // of these, since the last refusal
  int64_t refused_ = 0;
  absl::Duration grow_every_;
  bool grown_ = false;  // to the rate, when it last changed
  // Accepted since the last refusal, or since the rate was raised.
  int64_t run_ = 0;
  // Of the search that is on: its steps, the runs before them, and what was
  // accepted since the last one.
  int64_t steps_ = 0, in_steps_ = 0, since_step_ = 0;
  int fine_steps_ = 0;
  absl::Duration search_began_;
  double search_from_ = 0;
  // 0 for none: what the service gives, and the rate that it last refused.
  double given_rate_ = 0, refused_rate_ = 0;
  // Refusals until then are not about the rate.
  absl::Duration unrelated_until_ = -absl::InfiniteDuration();
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_RATE_BUCKET_H_
