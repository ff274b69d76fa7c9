// Why a task does not start, in one true sentence, and when it will.
//
// Of all that holds a task back this names the one thing that lasts longest,
// since it is of no use to hear of another that is over sooner:
//
//   1. where the task itself stands: it is final, runs, is being cancelled,
//      waits for a person's answer, or for tasks that it needs
//   2. what only a person ends: its account, its queue or its batch is paused
//      without an end, no worker for its account is there, what is charged
//      already leaves no room in a budget
//   3. what ends at a known time, the latest of them: a delay, a pause with an
//      end, an account that is tried again, a budget's window
//   4. what ends as other tasks end, the narrowest first: its batch's canary,
//      its concurrency key, a cap, a budget's room, the places at the workers
//   5. the service's rate, then the tasks and queues that go before it
//
// Pure: no I/O, and no clock but `now`.
#ifndef MIDWATCH_SCHEDULER_WHY_H_
#define MIDWATCH_SCHEDULER_WHY_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "midwatch/v1/task_service.pb.h"
#include "store/task_standing.h"

namespace midwatch {

// What serves the task's account at this moment, as only the scheduler knows.
struct ServingFacts {
  int workers = 0;   // connected
  int capacity = 0;  // tasks at once, of all of them
  int free = 0;      // places that a new task may have
  // Sessions that may begin a minute; 0: without limit.
  double creates_per_minute = 0;
  // Until one more may be created: zero where it may be now.
  absl::Duration until_create;
  bool resting = false;  // the service refused, and said to wait
};

struct Why {
  v1::WaitReason reason = v1::WAIT_REASON_UNSPECIFIED;
  std::string sentence;
  // When that ends by itself, where a time is known.
  std::optional<absl::Time> until;
  // About when the task starts, and the same in words; without a time, why
  // nobody can tell. Both empty where it has started.
  std::optional<absl::Time> start;
  std::string prediction;
};

// Times in the words are `zone`'s.
Why Explain(const TaskStanding& standing, const ServingFacts& serving,
            absl::Time now, absl::TimeZone zone);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_WHY_H_
