// What is looked at to decide whether a schedule fires, and what may be
// decided. The store fills the view and carries out the decision in one
// transaction; between the two stands a pure function (scheduler/firing.h).
#ifndef MIDWATCH_STORE_FIRING_VIEW_H_
#define MIDWATCH_STORE_FIRING_VIEW_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "midwatch/v1/schedule_service.pb.h"

namespace midwatch {

struct FiringView {
  std::string schedule;  // its name
  v1::Timing timing;
  bool paused = false;
  absl::Time pause_until = absl::InfiniteFuture();  // it ends by itself then
  // Times up to this one are dealt with, later ones are not.
  absl::Time since;
  // Batches of it that are not done or not yet submitted, and firings that wait
  // for them.
  int unfinished = 0, queued = 0;
};

// One time that is dealt with now.
struct NewFiring {
  absl::Time due;
  v1::FiringState state = v1::FIRING_STATE_UNSPECIFIED;  // not FIRED or FAILED
  std::string batch_name;
  std::string why;

  friend bool operator==(const NewFiring&, const NewFiring&) = default;
};

struct FiringDecision {
  std::vector<NewFiring> firings;  // by time
  bool begin_queued = false;       // the first of those that wait
  absl::Time since;
  // Nothing is decided: the schedule stays awake for whoever decides.
  bool undecided = false;
  // When to look again; never where that is infinite.
  absl::Time wake = absl::InfiniteFuture();

  friend bool operator==(const FiringDecision&,
                         const FiringDecision&) = default;
};

using FiringFunction =
    std::function<FiringDecision(const FiringView& view, absl::Time now)>;

}  // namespace midwatch

#endif  // MIDWATCH_STORE_FIRING_VIEW_H_
