// Requests into writes: everything a client may get wrong is caught here, with
// the field and what was expected, before anything is stored.
#ifndef MIDWATCH_SCHEDULER_FROM_PROTO_H_
#define MIDWATCH_SCHEDULER_FROM_PROTO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_field.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task_service.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "scheduler/rich_error.h"
#include "store/store.h"
#include "store/writes.h"

namespace midwatch {

inline constexpr int kChunkLinesMax = 10000;
inline constexpr int kChunkNeedsMax = 20'000;

// All: kInvalidArgument, with every field that is wrong (rich_error.h).
absl::StatusOr<SubmitTask> FromProto(const v1::SubmitTaskRequest& request);
absl::StatusOr<OpenBatch> FromProto(const std::string& request_id,
                                    const v1::OpenBatch& open);
// Parameters are checked against the batch's spec when they are filled in, so
// each line is filled in once here.
absl::StatusOr<AddTasks> FromProto(const std::string& request_id,
                                   const v1::TaskChunk& chunk,
                                   const v1::TaskSpec& spec);
// Parts of these, for a message that holds them: their fields are added to
// `wrong`, those of lines under `field`. The request_id is not set.
OpenBatch ToOpenBatch(const v1::OpenBatch& open, FieldViolations& wrong);
std::vector<NewTask> ToNewTasks(
    const v1::TaskSpec& spec,
    const google::protobuf::RepeatedPtrField<v1::TaskLine>& lines,
    absl::string_view field, FieldViolations& wrong);
absl::StatusOr<RegisterWorker> FromProto(
    const v1::RegisterWorkerRequest& request);

// The task of the result is not set.
absl::StatusOr<AnswerTask> FromProto(const v1::AnswerTaskRequest& request);
// The task of the result is not set. `now`: what is to come.
absl::StatusOr<UpdateTask> FromProto(const v1::UpdateTaskRequest& request,
                                     absl::Time now);
absl::StatusOr<TaskFilter> FromProto(const v1::ListTasksRequest& request);
absl::StatusOr<BatchFilter> FromProto(const v1::ListBatchesRequest& request);

absl::Status CheckRequestId(const std::string& request_id);
// Of free text that is kept: at most 1000 bytes of UTF-8.
absl::Status CheckReason(const std::string& reason);
// 1 to 1000; 0 is `if_unset`.
absl::StatusOr<int> CheckPageSize(int32_t page_size, int if_unset);
// Page tokens are the last row of the page before, as text.
absl::StatusOr<int64_t> ParsePageToken(const std::string& token,
                                       int64_t if_unset);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_FROM_PROTO_H_
