// The scheduler as a worker sees it: the calls of WorkerService, over gRPC or
// direct. The worker knows no other way to the queue.
#ifndef MIDWATCH_WORKER_SCHEDULER_CLIENT_H_
#define MIDWATCH_WORKER_SCHEDULER_CLIENT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/coro.h"
#include "midwatch/v1/worker_service.pb.h"

namespace midwatch {

// Grants and notices. The destructor closes it.
class LeaseStream {
 public:
  virtual ~LeaseStream() = default;
  // kUnavailable: the stream is lost, open another. kNotFound: the term had
  // lapsed. kCancelled: Close was called.
  virtual Async<absl::StatusOr<v1::StreamLeasesResponse>> Next() = 0;
  virtual void Close() = 0;
};

// Used on the worker's executor. Calls run concurrently and end within a
// deadline of their own (10 s). Errors are those of the proto, and
// kUnavailable / kDeadlineExceeded when the scheduler is out of reach: the call
// may have had its effect, and may be repeated.
class SchedulerClient {
 public:
  virtual ~SchedulerClient() = default;

  virtual Async<absl::StatusOr<v1::RegisterWorkerResponse>> RegisterWorker(
      v1::RegisterWorkerRequest request) = 0;
  virtual Async<absl::StatusOr<v1::RenewWorkerResponse>> RenewWorker(
      v1::RenewWorkerRequest request) = 0;
  virtual Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) = 0;
  virtual Async<absl::StatusOr<v1::AskSlotsResponse>> AskSlots(
      v1::AskSlotsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::BeginCreateResponse>> BeginCreate(
      v1::BeginCreateRequest request) = 0;
  virtual Async<absl::StatusOr<v1::RecordSessionResponse>> RecordSession(
      v1::RecordSessionRequest request) = 0;
  virtual Async<absl::StatusOr<v1::ClearSessionResponse>> ClearSession(
      v1::ClearSessionRequest request) = 0;
  virtual Async<absl::StatusOr<v1::AppendEventsResponse>> AppendEvents(
      v1::AppendEventsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::ReadEventsResponse>> ReadEvents(
      v1::ReadEventsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::AdviseResponse>> Advise(
      v1::AdviseRequest request) = 0;
  virtual Async<absl::StatusOr<v1::AddAnswerResponse>> AddAnswer(
      v1::AddAnswerRequest request) = 0;
  virtual Async<absl::StatusOr<v1::MarkSaidResponse>> MarkSaid(
      v1::MarkSaidRequest request) = 0;
  virtual Async<absl::StatusOr<v1::ParkResponse>> Park(
      v1::ParkRequest request) = 0;
  virtual Async<absl::StatusOr<v1::SettleResponse>> Settle(
      v1::SettleRequest request) = 0;
  virtual Async<absl::StatusOr<v1::HandBackResponse>> HandBack(
      v1::HandBackRequest request) = 0;
  virtual Async<absl::StatusOr<v1::FindRemoteIdsResponse>> FindRemoteIds(
      v1::FindRemoteIdsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::RecordRemoteIdResponse>> RecordRemoteId(
      v1::RecordRemoteIdRequest request) = 0;
  virtual Async<absl::StatusOr<v1::LeaseErrandsResponse>> LeaseErrands(
      v1::LeaseErrandsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::CompleteErrandsResponse>> CompleteErrands(
      v1::CompleteErrandsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::ExplainSessionsResponse>> ExplainSessions(
      v1::ExplainSessionsRequest request) = 0;
  virtual Async<absl::StatusOr<v1::CompleteSweepResponse>> CompleteSweep(
      v1::CompleteSweepRequest request) = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_SCHEDULER_CLIENT_H_
