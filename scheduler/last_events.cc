// What some tasks did last, for those who look on.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

constexpr int kTasksMax = 100;
constexpr int64_t kEventsEach = 5;
constexpr size_t kEventBytesMax = 64 << 10;

}  // namespace

void Scheduler::ListLastEvents(const v1::ListLastEventsRequest& request,
                               Reply<v1::ListLastEventsResponse> reply) {
  if (request.task_ids_size() < 1 || request.task_ids_size() > kTasksMax) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("task_ids: ", request.task_ids_size(),
                     " of them; expected 1 to ", kTasksMax)));
  }
  std::vector<RowKey> keys;
  for (const std::string& id : request.task_ids()) {
    absl::StatusOr<RowKey> key = ids_.Parse("task_ids", id);
    if (!key.ok()) return reply(key.status());
    keys.push_back(*key);
  }
  store_.Read<v1::ListLastEventsResponse>(
      [keys = std::move(keys), ids = ids_](
          StoreReader& reader) -> absl::StatusOr<v1::ListLastEventsResponse> {
        v1::ListLastEventsResponse response;
        for (const RowKey& key : keys) {
          absl::StatusOr<TaskRecord> task = reader.GetTask(key);
          if (absl::IsNotFound(task.status())) continue;
          RETURN_IF_ERROR(task.status());
          if (task->attempt_list.empty()) continue;
          const AttemptRecord& newest = task->attempt_list.back();
          ASSIGN_OR_RETURN(int64_t end, reader.CountEvents(newest.grant_seq));
          if (end == 0) continue;
          int64_t from = std::max<int64_t>(0, end - kEventsEach);
          ASSIGN_OR_RETURN(std::vector<std::string> events,
                           reader.ReadEvents(newest.grant_seq, from));
          v1::LastEvents& last = *response.add_tasks();
          last.set_task_id(ids.Format(key));
          last.set_attempt(newest.number);
          for (std::string& json : events) {
            v1::TaskEvent& event = *last.add_events();
            event.set_sequence(from++);
            if (json.size() <= kEventBytesMax) event.set_json(std::move(json));
          }
        }
        return response;
      },
      std::move(reply));
}

}  // namespace midwatch
