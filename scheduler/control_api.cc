// What clients change of queues, tenants, accounts and batches while their
// tasks run.
#include <utility>

#include "base/log.h"
#include "scheduler/control_proto.h"
#include "scheduler/field_checks.h"
#include "scheduler/from_proto.h"
#include "scheduler/rich_error.h"
#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

constexpr char kQueueType[] = "midwatch.v1.Queue";
constexpr char kTenantType[] = "midwatch.v1.Tenant";
constexpr char kBatchType[] = "midwatch.v1.Batch";
// Room for the longest name there is: a page token is the last one's.
constexpr size_t kNameTokenMax = 200;

absl::Status CheckNameToken(const std::string& token) {
  return token.size() <= kNameTokenMax
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   "page_token: not one of this service's");
}

// A page of what is listed by name; the token is the last one's.
template <typename Record, typename Request, typename Response>
void ListByName(Store& store, const Request& request,
                absl::StatusOr<std::vector<Record>> (StoreReader::*list)(
                    const std::string&, int),
                void (*add)(const Record&, Response&), Reply<Response> reply) {
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 100);
  if (!size.ok()) return reply(size.status());
  if (absl::Status status = CheckNameToken(request.page_token());
      !status.ok()) {
    return reply(status);
  }
  store.Read<std::vector<Record>>(
      [after = request.page_token(), size = *size, list](StoreReader& reader) {
        return (reader.*list)(after, size);
      },
      [size = *size, add, reply = std::move(reply)](
          absl::StatusOr<std::vector<Record>> records) mutable {
        if (!records.ok()) return reply(records.status());
        Response response;
        for (const Record& record : *records) add(record, response);
        if (records->size() == static_cast<size_t>(size)) {
          response.set_next_page_token(records->back().name);
        }
        reply(std::move(response));
      });
}

}  // namespace

// Whatever it was, something may start now, or something ends sooner than all
// that was planned. Then `look` answers with how things stand.
template <typename W>
void Scheduler::ApplyControl(W write,
                             absl::AnyInvocable<void(absl::Status)> look) {
  store_.Apply(std::move(write), [this, look = std::move(look)](
                                     absl::StatusOr<Done> done) mutable {
    if (!done.ok()) return look(done.status());
    leases_.WantAdmission();
    PlanTimers(clock_.Now());
    look(absl::OkStatus());
  });
}

template <typename Response>
void Scheduler::AnswerWithQueue(std::string name, Reply<Response> reply) {
  store_.Read<QueueRecord>(
      [name](StoreReader& reader) { return reader.GetQueue(name); },
      [name,
       reply = std::move(reply)](absl::StatusOr<QueueRecord> queue) mutable {
        if (!queue.ok()) {
          return reply(WithResource(queue.status(), kQueueType, name));
        }
        Response response;
        *response.mutable_queue() = ToProto(*queue);
        reply(std::move(response));
      });
}

template <typename Response>
void Scheduler::AnswerWithTenant(std::string name, Reply<Response> reply) {
  store_.Read<TenantRecord>(
      [name](StoreReader& reader) { return reader.GetTenant(name); },
      [name,
       reply = std::move(reply)](absl::StatusOr<TenantRecord> tenant) mutable {
        if (!tenant.ok()) {
          return reply(WithResource(tenant.status(), kTenantType, name));
        }
        Response response;
        *response.mutable_tenant() = ToProto(*tenant);
        reply(std::move(response));
      });
}

template <typename Response>
void Scheduler::AnswerWithBatch(RowKey key, Reply<Response> reply) {
  store_.Read<BatchRecord>(
      [key](StoreReader& reader) { return reader.GetBatch(key); },
      [this,
       reply = std::move(reply)](absl::StatusOr<BatchRecord> batch) mutable {
        if (!batch.ok()) return reply(batch.status());
        Response response;
        *response.mutable_batch() = Describe(*batch);
        reply(std::move(response));
      });
}

void Scheduler::ListQueues(const v1::ListQueuesRequest& request,
                           Reply<v1::ListQueuesResponse> reply) {
  ListByName<QueueRecord>(
      store_, request, &StoreReader::ListQueues,
      +[](const QueueRecord& queue, v1::ListQueuesResponse& response) {
        *response.add_queues() = ToProto(queue);
      },
      std::move(reply));
}

void Scheduler::GetQueue(const v1::GetQueueRequest& request,
                         Reply<v1::GetQueueResponse> reply) {
  AnswerWithQueue(request.name(), std::move(reply));
}

void Scheduler::UpdateQueue(const v1::UpdateQueueRequest& request,
                            Reply<v1::UpdateQueueResponse> reply) {
  absl::StatusOr<SetControl> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  ApplyControl(*std::move(write),
               [this, name = request.name(),
                reply = std::move(reply)](absl::Status status) mutable {
                 if (!status.ok()) return reply(status);
                 AnswerWithQueue(name, std::move(reply));
               });
}

void Scheduler::PauseQueue(const v1::PauseQueueRequest& request,
                           Reply<v1::PauseQueueResponse> reply) {
  absl::StatusOr<midwatch::PauseQueue> write = FromProto(request, clock_.Now());
  if (!write.ok()) return reply(write.status());
  LogInfo("queue pause asked", {{"queue", request.name()}});
  ApplyControl(*std::move(write),
               [this, name = request.name(),
                reply = std::move(reply)](absl::Status status) mutable {
                 if (!status.ok()) return reply(status);
                 AnswerWithQueue(name, std::move(reply));
               });
}

void Scheduler::ResumeQueue(const v1::ResumeQueueRequest& request,
                            Reply<v1::ResumeQueueResponse> reply) {
  LogInfo("queue resume asked", {{"queue", request.name()}});
  ApplyControl(midwatch::ResumeQueue{request.name()},
               [this, name = request.name(),
                reply = std::move(reply)](absl::Status status) mutable {
                 if (!status.ok()) {
                   return reply(WithResource(status, kQueueType, name));
                 }
                 AnswerWithQueue(name, std::move(reply));
               });
}

void Scheduler::ListTenants(const v1::ListTenantsRequest& request,
                            Reply<v1::ListTenantsResponse> reply) {
  ListByName<TenantRecord>(
      store_, request, &StoreReader::ListTenants,
      +[](const TenantRecord& tenant, v1::ListTenantsResponse& response) {
        *response.add_tenants() = ToProto(tenant);
      },
      std::move(reply));
}

void Scheduler::GetTenant(const v1::GetTenantRequest& request,
                          Reply<v1::GetTenantResponse> reply) {
  AnswerWithTenant(request.name(), std::move(reply));
}

void Scheduler::UpdateTenant(const v1::UpdateTenantRequest& request,
                             Reply<v1::UpdateTenantResponse> reply) {
  absl::StatusOr<SetControl> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  ApplyControl(*std::move(write),
               [this, name = request.name(),
                reply = std::move(reply)](absl::Status status) mutable {
                 if (!status.ok()) return reply(status);
                 AnswerWithTenant(name, std::move(reply));
               });
}

void Scheduler::ListConcurrencyKeys(
    const v1::ListConcurrencyKeysRequest& request,
    Reply<v1::ListConcurrencyKeysResponse> reply) {
  const std::string tenant = OrDefault(request.tenant());
  store_.Read<std::vector<KeyRecord>>(
      [tenant](StoreReader& reader) { return reader.ListKeyCaps(tenant); },
      [tenant, reply = std::move(reply)](
          absl::StatusOr<std::vector<KeyRecord>> keys) mutable {
        if (!keys.ok()) return reply(keys.status());
        v1::ListConcurrencyKeysResponse response;
        for (const KeyRecord& key : *keys) {
          *response.add_keys() = ToProto(key, tenant);
        }
        reply(std::move(response));
      });
}

void Scheduler::UpdateConcurrencyKey(
    const v1::UpdateConcurrencyKeyRequest& request,
    Reply<v1::UpdateConcurrencyKeyResponse> reply) {
  absl::StatusOr<SetKeyCap> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  ApplyControl(*std::move(write),
               [reply = std::move(reply)](absl::Status status) mutable {
                 if (!status.ok()) return reply(status);
                 reply(v1::UpdateConcurrencyKeyResponse());
               });
}

void Scheduler::UpdateAccount(const v1::UpdateAccountRequest& request,
                              Reply<v1::UpdateAccountResponse> reply) {
  absl::StatusOr<SetControl> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  ApplyControl(*std::move(write), [this, name = request.name(),
                                   reply = std::move(reply)](
                                      absl::Status status) mutable {
    if (!status.ok()) return reply(status);
    v1::GetAccountRequest get;
    get.set_name(name);
    GetAccount(get, [reply = std::move(reply)](
                        absl::StatusOr<v1::GetAccountResponse> got) mutable {
      if (!got.ok()) return reply(got.status());
      v1::UpdateAccountResponse response;
      *response.mutable_account() = std::move(*got->mutable_account());
      reply(std::move(response));
    });
  });
}

template <typename Response, typename W>
void Scheduler::ControlBatch(absl::StatusOr<W> write, const std::string& id,
                             Reply<Response> reply) {
  absl::StatusOr<RowKey> key = ids_.Parse("batch_id", id);
  if (!key.ok()) return reply(WithResource(key.status(), kBatchType, id));
  if (!write.ok()) return reply(write.status());
  write->batch = *key;
  ApplyControl(*std::move(write),
               [this, key = *key, id,
                reply = std::move(reply)](absl::Status status) mutable {
                 if (!status.ok()) {
                   return reply(WithResource(status, kBatchType, id));
                 }
                 AnswerWithBatch(key, std::move(reply));
               });
}

void Scheduler::UpdateBatch(const v1::UpdateBatchRequest& request,
                            Reply<v1::UpdateBatchResponse> reply) {
  ControlBatch(FromProto(request), request.batch_id(), std::move(reply));
}

void Scheduler::PauseBatch(const v1::PauseBatchRequest& request,
                           Reply<v1::PauseBatchResponse> reply) {
  LogInfo("batch pause asked", {{"batch", request.batch_id()}});
  ControlBatch(FromProto(request, clock_.Now()), request.batch_id(),
               std::move(reply));
}

void Scheduler::ResumeBatch(const v1::ResumeBatchRequest& request,
                            Reply<v1::ResumeBatchResponse> reply) {
  LogInfo("batch resume asked", {{"batch", request.batch_id()}});
  ControlBatch(absl::StatusOr<midwatch::ResumeBatch>(midwatch::ResumeBatch()),
               request.batch_id(), std::move(reply));
}

}  // namespace midwatch
