// What a session that waits is told, by its spec: pure functions.
#ifndef MIDWATCH_SCHEDULER_WAIT_POLICY_H_
#define MIDWATCH_SCHEDULER_WAIT_POLICY_H_

#include "absl/time/time.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "store/writes.h"

namespace midwatch {

// The kind of the answer; UNSPECIFIED: a person gives it.
v1::SayKind AnswerOf(const v1::TaskSpec& spec, const v1::Question& question);

// What becomes of a session that has spent its budget. A raise is by max_cost,
// from what is set aside or, past that, from what is spent, and never beyond
// raise_to less what earlier attempts cost. Less than a cent would be no raise
// to the service, which counts in cents.
BudgetAnswer DecideRaise(const v1::TaskSpec& spec, const BudgetSpent& spent);

// How long a person has to answer.
absl::Duration AnswerWithin(const v1::TaskSpec& spec);

// All three.
WaitPolicy SpecWaitPolicy();

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_WAIT_POLICY_H_
