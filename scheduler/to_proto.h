// Records as clients and workers see them.
#ifndef MIDWATCH_SCHEDULER_TO_PROTO_H_
#define MIDWATCH_SCHEDULER_TO_PROTO_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "store/proto_time.h"
#include "store/records.h"

namespace midwatch {

// External ids of one cluster.
class Ids {
 public:
  explicit Ids(uint16_t cluster) : cluster_(cluster) {}
  std::string Format(RowKey key) const;
  // kInvalidArgument: no id. kNotFound: another cluster's. `what` names the
  // field.
  absl::StatusOr<RowKey> Parse(const std::string& what,
                               const std::string& text) const;

 private:
  uint16_t cluster_;
};

v1::Account ToProto(const AccountRecord& account);
v1::Forecast ToProto(const Forecast& forecast);
v1::HookDelivery ToProto(const HookRecord& hook, const std::string& batch_id);
v1::Batch ToProto(const BatchRecord& batch, const Ids& ids);
v1::Task ToProto(const TaskRecord& task, const Ids& ids, absl::Time now);
v1::TaskChange ToProto(const JournalRecord& entry, const Ids& ids);
v1::LeaseToken ToProto(const LeaseKey& lease, RowKey task, const Ids& ids);

// Parameters filled in, and defaults where the proto names them.
absl::StatusOr<v1::Lease> ToProto(const GrantRecord& grant,
                                  int64_t stored_events, const Ids& ids);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_TO_PROTO_H_
