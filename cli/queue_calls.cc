// Queues, tenants and keys, of SchedulerConnection.
#include <vector>

#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

absl::StatusOr<std::vector<v1::Queue>> SchedulerConnection::ListQueues() {
  std::vector<v1::Queue> queues;
  v1::ListQueuesRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListQueuesResponse response;
    MIDWATCH_CALL(queues_, ListQueues, request, response);
    queues.insert(queues.end(), response.queues().begin(),
                  response.queues().end());
    if (response.next_page_token().empty()) return queues;
    request.set_page_token(response.next_page_token());
  }
}

absl::StatusOr<v1::Queue> SchedulerConnection::GetQueue(
    const std::string& name) {
  v1::GetQueueRequest request;
  request.set_name(name);
  v1::GetQueueResponse response;
  MIDWATCH_CALL(queues_, GetQueue, request, response);
  return response.queue();
}

absl::StatusOr<v1::Queue> SchedulerConnection::UpdateQueue(
    const v1::UpdateQueueRequest& request) {
  v1::UpdateQueueResponse response;
  MIDWATCH_CALL(queues_, UpdateQueue, request, response);
  return response.queue();
}

absl::StatusOr<v1::Queue> SchedulerConnection::PauseQueue(
    const v1::PauseQueueRequest& request) {
  v1::PauseQueueResponse response;
  MIDWATCH_CALL(queues_, PauseQueue, request, response);
  return response.queue();
}

absl::StatusOr<v1::Queue> SchedulerConnection::ResumeQueue(
    const std::string& name) {
  v1::ResumeQueueRequest request;
  request.set_name(name);
  v1::ResumeQueueResponse response;
  MIDWATCH_CALL(queues_, ResumeQueue, request, response);
  return response.queue();
}

absl::StatusOr<std::vector<v1::Tenant>> SchedulerConnection::ListTenants() {
  std::vector<v1::Tenant> tenants;
  v1::ListTenantsRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListTenantsResponse response;
    MIDWATCH_CALL(tenants_, ListTenants, request, response);
    tenants.insert(tenants.end(), response.tenants().begin(),
                   response.tenants().end());
    if (response.next_page_token().empty()) return tenants;
    request.set_page_token(response.next_page_token());
  }
}

absl::StatusOr<v1::Tenant> SchedulerConnection::GetTenant(
    const std::string& name) {
  v1::GetTenantRequest request;
  request.set_name(name);
  v1::GetTenantResponse response;
  MIDWATCH_CALL(tenants_, GetTenant, request, response);
  return response.tenant();
}

absl::StatusOr<v1::Tenant> SchedulerConnection::UpdateTenant(
    const v1::UpdateTenantRequest& request) {
  v1::UpdateTenantResponse response;
  MIDWATCH_CALL(tenants_, UpdateTenant, request, response);
  return response.tenant();
}

absl::StatusOr<std::vector<v1::ConcurrencyKey>>
SchedulerConnection::ListConcurrencyKeys(const std::string& tenant) {
  v1::ListConcurrencyKeysRequest request;
  request.set_tenant(tenant);
  v1::ListConcurrencyKeysResponse response;
  MIDWATCH_CALL(tenants_, ListConcurrencyKeys, request, response);
  return std::vector<v1::ConcurrencyKey>(response.keys().begin(),
                                         response.keys().end());
}

absl::Status SchedulerConnection::UpdateConcurrencyKey(
    const v1::UpdateConcurrencyKeyRequest& request) {
  v1::UpdateConcurrencyKeyResponse response;
  MIDWATCH_CALL(tenants_, UpdateConcurrencyKey, request, response);
  return absl::OkStatus();
}

}  // namespace midwatch::cli
