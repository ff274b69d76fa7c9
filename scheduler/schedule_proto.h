// Requests about schedules into writes, and schedules as clients see them.
#ifndef MIDWATCH_SCHEDULER_SCHEDULE_PROTO_H_
#define MIDWATCH_SCHEDULER_SCHEDULE_PROTO_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "midwatch/v1/schedule_service.pb.h"
#include "scheduler/to_proto.h"
#include "store/records.h"
#include "store/writes.h"

namespace midwatch {

// Fills each line's parameters in once, so not on the scheduler's thread.
//   kInvalidArgument  with every field that is wrong (rich_error.h); a schedule
//                     that is never due after `now` too
absl::StatusOr<PutSchedule> FromProto(const v1::PutScheduleRequest& request,
                                      absl::Time now);

v1::Firing ToProto(const FiringRecord& firing, const Ids& ids);
v1::Schedule ToProto(const ScheduleRecord& schedule, const Ids& ids,
                     absl::Time now);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_SCHEDULE_PROTO_H_
