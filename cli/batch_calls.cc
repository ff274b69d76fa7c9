// Batches, of SchedulerConnection.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"
#include "cli/utf8.h"

namespace midwatch::cli {

absl::StatusOr<v1::Batch> SchedulerConnection::GetBatch(
    const std::string& batch_id) {
  v1::GetBatchRequest request;
  request.set_batch_id(batch_id);
  v1::GetBatchResponse response;
  MIDWATCH_CALL(batches_, GetBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::FindBatch(
    const std::string& id_or_name) {
  if (ParseExternalId(id_or_name).ok()) return GetBatch(id_or_name);
  ASSIGN_OR_RETURN(std::vector<v1::Batch> named, ListBatches(id_or_name, 1));
  // Lists show less of each.
  if (!named.empty()) return GetBatch(named.front().batch_id());
  return absl::NotFoundError(absl::StrCat("no batch has the id or name '",
                                          Printable(id_or_name),
                                          "'; `batch list` shows them"));
}

absl::StatusOr<v1::Batch> SchedulerConnection::CancelBatch(
    const std::string& batch_id, const std::string& reason) {
  v1::CancelBatchRequest request;
  request.set_batch_id(batch_id);
  request.set_reason(reason);
  v1::CancelBatchResponse response;
  MIDWATCH_CALL(batches_, CancelBatch, request, response);
  return response.batch();
}

absl::StatusOr<std::vector<v1::Batch>> SchedulerConnection::ListBatches(
    const std::string& name, int limit) {
  v1::ListBatchesRequest filter;
  filter.set_name(name);
  return ListBatches(std::move(filter), limit);
}

absl::StatusOr<std::vector<v1::Batch>> SchedulerConnection::ListBatches(
    v1::ListBatchesRequest request, int limit) {
  std::vector<v1::Batch> batches;
  while (static_cast<int>(batches.size()) < limit) {
    request.set_page_size(
        std::min(kPageSize, limit - static_cast<int>(batches.size())));
    v1::ListBatchesResponse response;
    MIDWATCH_CALL(batches_, ListBatches, request, response);
    batches.insert(batches.end(), response.batches().begin(),
                   response.batches().end());
    if (response.next_page_token().empty()) break;
    request.set_page_token(response.next_page_token());
  }
  return batches;
}

absl::Status SchedulerConnection::ForEachBatch(
    absl::FunctionRef<bool(const v1::Batch&)> visit) {
  return ForEachBatch({}, visit);
}

absl::Status SchedulerConnection::ForEachBatch(
    v1::ListBatchesRequest request,
    absl::FunctionRef<bool(const v1::Batch&)> visit) {
  request.set_page_size(FirstPageOf(request.page_size()));
  while (true) {
    v1::ListBatchesResponse response;
    MIDWATCH_CALL(batches_, ListBatches, request, response);
    for (const v1::Batch& batch : response.batches()) {
      if (!visit(batch)) return absl::OkStatus();
    }
    if (response.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(response.next_page_token());
    request.set_page_size(kPageSize);
  }
}

absl::StatusOr<v1::Batch> SchedulerConnection::UpdateBatch(
    const v1::UpdateBatchRequest& request) {
  v1::UpdateBatchResponse response;
  MIDWATCH_CALL(batches_, UpdateBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::PauseBatch(
    const v1::PauseBatchRequest& request) {
  v1::PauseBatchResponse response;
  MIDWATCH_CALL(batches_, PauseBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::ResumeBatch(
    const std::string& batch_id) {
  v1::ResumeBatchRequest request;
  request.set_batch_id(batch_id);
  v1::ResumeBatchResponse response;
  MIDWATCH_CALL(batches_, ResumeBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::RetryBatch(
    const v1::RetryBatchRequest& request) {
  for (int tried = 1;;) {
    v1::RetryBatchResponse response;
    absl::Status status =
        Call([this](grpc::ClientContext& context, const auto& q,
                    auto& a) { return batches_->RetryBatch(&context, q, &a); },
             request, response, "RetryBatch");
    if (status.ok() && !response.more()) return response.batch();
    if (status.ok()) {
      tried = 1;
      continue;
    }
    if (!absl::IsUnavailable(status) || tried++ == kCallTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
  }
}

absl::StatusOr<std::optional<int64_t>> SchedulerConnection::DeleteBatch(
    const v1::DeleteBatchRequest& request) {
  bool begun = false;
  for (int tried = 1;;) {
    v1::DeleteBatchResponse response;
    absl::Status status =
        Call([this](grpc::ClientContext& context, const auto& q,
                    auto& a) { return batches_->DeleteBatch(&context, q, &a); },
             request, response, "DeleteBatch");
    if (status.ok() && !response.more()) return response.tasks();
    if (status.ok()) {
      begun = true;
      tried = 1;
      continue;
    }
    // It was there, and now it is not: the answer was lost.
    if (begun && absl::IsNotFound(status)) return std::nullopt;
    if (!absl::IsUnavailable(status) || tried++ == kCallTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
    begun = true;
  }
}

}  // namespace midwatch::cli
