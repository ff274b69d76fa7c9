// How long the scheduler surely believes this worker alive.
//
// Counted on the boot-time clock, which goes on while the machine sleeps, from
// before the request that obtained the term: the scheduler counts from when it
// received it, so what is left here is never more than what is left there. A
// worker that slept finds its term over before it does anything.
#ifndef MIDWATCH_WORKER_TERM_H_
#define MIDWATCH_WORKER_TERM_H_

#include "absl/time/time.h"
#include "base/clock.h"

namespace midwatch {

class WorkerTerm {
 public:
  // No POST is started this shortly before the end.
  static constexpr absl::Duration kQuietEnd = absl::Seconds(5);

  // `clock` outlives it. Begins with no term.
  explicit WorkerTerm(const Clock& clock) : clock_(clock) {}

  // What to pass to Extend, taken before the request is sent.
  absl::Duration Mark() const { return clock_.Boot(); }

  // A request sent at `mark` was granted `term`. Answers may overtake each
  // other: the later end counts.
  void Extend(absl::Duration mark, absl::Duration term);

  // Gives the term up: what follows is another's.
  void End() { end_ = -absl::InfiniteDuration(); }

  // Zero or less: over.
  absl::Duration Remaining() const { return end_ - clock_.Boot(); }
  bool over() const { return Remaining() <= absl::ZeroDuration(); }

  bool CanStartPost() const { return Remaining() > kQuietEnd; }
  // The timeout of a POST started now: it ends inside the term.
  absl::Duration PostTimeout() const { return Remaining(); }

 private:
  const Clock& clock_;
  absl::Duration end_ = -absl::InfiniteDuration();
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_TERM_H_
