// Who starts next: a pure function of the store's view, the workers' offers and
// the clock, so that the scheduler, tests and the simulator run the same lines.
#ifndef MIDWATCH_SCHEDULER_ADMISSION_H_
#define MIDWATCH_SCHEDULER_ADMISSION_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "store/admission_view.h"

namespace midwatch {

// How many sessions may be created now, by account; one that is not named has
// no such bound.
using StartRoom = std::map<std::string, int>;

// Slots that new attempts leave free, by account: for attempts that are on and
// will soon be free to be adopted. Their sessions spend, whoever listens; where
// a new attempt took the slot, they would wait for its end.
using KeptSlots = std::map<std::string, int>;

// Attempts that are on already come before new ones, also where the view shows
// only the first of them. New ones go by the shares
// of tenants, then of a tenant's queues (scheduler/fair_share.h), then by rank
// over the queue's lanes, each to the worker with the most free slots that
// serves its account. Nothing starts that does not fit into every budget of its
// lane. Lanes whose cap or budget binds are blocked, so that the next view
// shows what stands behind them. Only new ones need `room`, and leave what is
// `kept`.
AdmissionDecisions DecideAdmission(absl::Time now,
                                   const std::vector<WorkerOffer>& offers,
                                   const AdmissionView& view,
                                   StartRoom room = {}, KeptSlots kept = {});

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_ADMISSION_H_
