// Canaries and stop rules of batches, as clients write and see them.
#ifndef MIDWATCH_SCHEDULER_RULE_PROTO_H_
#define MIDWATCH_SCHEDULER_RULE_PROTO_H_

#include "midwatch/v1/batch_service.pb.h"
#include "scheduler/rich_error.h"
#include "store/records.h"
#include "store/writes.h"

namespace midwatch {

// Adds to `wrong` what is wrong with them, by the names of OpenBatch's fields.
void ReadRules(const v1::OpenBatch& open, OpenBatch& write,
               FieldViolations& wrong);

v1::CanaryState ToProto(const CanaryRecord& canary);
v1::StopState ToProto(const StopRecord& stop);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_RULE_PROTO_H_
