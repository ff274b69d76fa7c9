// What clients say and see of weights, caps and pauses.
#ifndef MIDWATCH_SCHEDULER_CONTROL_PROTO_H_
#define MIDWATCH_SCHEDULER_CONTROL_PROTO_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "midwatch/v1/queue_service.pb.h"
#include "store/records.h"
#include "store/writes.h"

namespace midwatch {

v1::Pause ToProto(const PauseRecord& pause);
v1::Queue ToProto(const QueueRecord& queue);
v1::Tenant ToProto(const TenantRecord& tenant);
v1::ConcurrencyKey ToProto(const KeyRecord& key, const std::string& tenant);

// What a request sets, of the message of that name. All: kInvalidArgument, with
// every field that is wrong.
absl::StatusOr<SetControl> FromProto(const v1::UpdateQueueRequest& request);
absl::StatusOr<SetControl> FromProto(const v1::UpdateTenantRequest& request);
absl::StatusOr<SetControl> FromProto(const v1::UpdateAccountRequest& request);
absl::StatusOr<SetKeyCap> FromProto(
    const v1::UpdateConcurrencyKeyRequest& request);
// Its batch is not set.
absl::StatusOr<SetBatchCap> FromProto(const v1::UpdateBatchRequest& request);

// Of a pause: at most 500 bytes, and a time to come.
absl::Status CheckPauseReason(const std::string& reason);
// Unset: no end.
absl::StatusOr<absl::Time> PauseEnd(bool has_until,
                                    const google::protobuf::Timestamp& until,
                                    absl::Time now);

// As PauseQueueRequest says.
absl::StatusOr<PauseQueue> FromProto(const v1::PauseQueueRequest& request,
                                     absl::Time now);
// Its batch is not set.
absl::StatusOr<PauseBatch> FromProto(const v1::PauseBatchRequest& request,
                                     absl::Time now);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_CONTROL_PROTO_H_
