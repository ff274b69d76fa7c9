#include "tests/sim/flaky_client.h"

#include <type_traits>
#include <utility>

namespace midwatch::sim {
namespace {

// What a caller waits for an answer.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kSecondArrivalMax = absl::Minutes(1);

class FlakyClient final : public SchedulerClient {
 public:
  FlakyClient(Executor& executor, Random& random, const Flakiness& flakiness,
              Counts& counts, std::unique_ptr<SchedulerClient> inner)
      : executor_(executor),
        random_(random),
        flakiness_(flakiness),
        counts_(counts),
        inner_(std::move(inner)) {}

#define MIDWATCH_CALL(method)                                  \
  Async<absl::StatusOr<v1::method##Response>> method(          \
      v1::method##Request request) override {                  \
    return Call(&SchedulerClient::method, std::move(request)); \
  }
  MIDWATCH_CALL(RegisterWorker)
  MIDWATCH_CALL(RenewWorker)
  MIDWATCH_CALL(AskSlots)
  MIDWATCH_CALL(BeginCreate)
  MIDWATCH_CALL(RecordSession)
  MIDWATCH_CALL(ClearSession)
  MIDWATCH_CALL(AppendEvents)
  MIDWATCH_CALL(ReadEvents)
  MIDWATCH_CALL(Advise)
  MIDWATCH_CALL(AddAnswer)
  MIDWATCH_CALL(MarkSaid)
  MIDWATCH_CALL(Park)
  MIDWATCH_CALL(Settle)
  MIDWATCH_CALL(HandBack)
  MIDWATCH_CALL(FindRemoteIds)
  MIDWATCH_CALL(RecordRemoteId)
  MIDWATCH_CALL(LeaseErrands)
  MIDWATCH_CALL(CompleteErrands)
  MIDWATCH_CALL(ExplainSessions)
  MIDWATCH_CALL(CompleteSweep)
#undef MIDWATCH_CALL

  Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) override {
    return inner_->StreamLeases(std::move(request));
  }

 private:
  template <typename Request, typename Response>
  using Method =
      Async<absl::StatusOr<Response>> (SchedulerClient::*)(Request request);

  template <typename Request, typename Response>
  Async<absl::StatusOr<Response>> Call(Method<Request, Response> method,
                                       Request request) {
    // An attempt records a session once: rarely enough that a second arrival
    // amid its fence would hardly ever be seen.
    constexpr double kOften =
        std::is_same_v<Request, v1::RecordSessionRequest> ? 5 : 1;
    if (random_.Fraction() < kOften * flakiness_.doubled_calls) {
      counts_.Add("calls that arrived twice");
      absl::Duration delay = kSecondArrivalMax * random_.Fraction();
      Spawn(executor_, Again(*this, method, request, delay));
    }
    bool lost = random_.Fraction() < flakiness_.lost_answers;
    absl::StatusOr<Response> answer =
        co_await (*inner_.*method)(std::move(request));
    if (!lost) co_return answer;
    counts_.Add("answers of the scheduler lost");
    co_await Sleep(executor_, kCallTimeout);
    co_return absl::DeadlineExceededError("the answer was lost");
  }

  template <typename Request, typename Response>
  static Async<void> Again(FlakyClient& self, Method<Request, Response> method,
                           Request request, absl::Duration delay) {
    co_await Sleep(self.executor_, delay);
    (void)co_await (*self.inner_.*method)(std::move(request));
  }

  Executor& executor_;
  Random& random_;
  const Flakiness& flakiness_;
  Counts& counts_;
  std::unique_ptr<SchedulerClient> inner_;
};

}  // namespace

std::unique_ptr<SchedulerClient> MakeFlakyClient(
    Executor& executor, Random& random, const Flakiness& flakiness,
    Counts& counts, std::unique_ptr<SchedulerClient> inner) {
  return std::make_unique<FlakyClient>(executor, random, flakiness, counts,
                                       std::move(inner));
}

}  // namespace midwatch::sim
