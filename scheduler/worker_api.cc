// What workers say to the scheduler about an attempt that they hold.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "scheduler/from_proto.h"
#include "scheduler/retry.h"
#include "scheduler/scheduler.h"
#include "scheduler/wait_policy.h"

namespace midwatch {
namespace {

constexpr int kAttemptsPerAppend = 1000;
constexpr int kEventsPerAppend = 256;
constexpr size_t kAppendBytesMax = 32 << 20;
constexpr char kNudge[] =
    "The last step failed for a reason on the service's side that has passed "
    "by now. Please go on where you stopped.";

// The key that a token names, whether or not its lease lives: the store tells.
absl::StatusOr<LeaseKey> ParseToken(const Ids& ids,
                                    const v1::LeaseToken& token) {
  ASSIGN_OR_RETURN(RowKey task, ids.Parse("token.task_id", token.task_id()));
  return LeaseKey{token.worker_id(), task.row, token.attempt(), token.epoch()};
}

// Answers with an empty response behind a fault point, or the failure.
template <typename Response>
Store::Callback<Done> Empty(const char* point, Reply<Response> reply) {
  return [point, reply = std::move(reply)](absl::StatusOr<Done> done) mutable {
    if (!done.ok()) return reply(done.status());
    FaultPoint(point);
    reply(Response());
  };
}

}  // namespace

void Scheduler::BeginCreate(const v1::BeginCreateRequest& request,
                            Reply<v1::BeginCreateResponse> reply) {
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  if (request.nonce().size() < 16 || request.nonce().size() > 64) {
    return reply(absl::InvalidArgumentError("nonce: expected 16 to 64 bytes"));
  }
  store_.Apply(midwatch::BeginCreate{*lease, request.nonce()},
               Empty("scheduler.create.after", std::move(reply)));
}

void Scheduler::RecordSession(const v1::RecordSessionRequest& request,
                              Reply<v1::RecordSessionResponse> reply) {
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  if (request.session_id().empty() || request.session_id().size() > 200) {
    return reply(
        absl::InvalidArgumentError("session_id: expected 1 to 200 bytes"));
  }
  store_.Apply(
      midwatch::RecordSession{*lease, request.nonce(), request.session_id()},
      [this, reply = std::move(reply)](
          absl::StatusOr<RecordedSession> recorded) mutable {
        if (!recorded.ok()) return reply(recorded.status());
        FaultPoint("scheduler.record.after");
        if (recorded->account_opened) leases_.WantAdmission();
        v1::RecordSessionResponse response;
        response.set_session_id(recorded->session_id);
        reply(std::move(response));
      });
}

void Scheduler::ClearSession(const v1::ClearSessionRequest& request,
                             Reply<v1::ClearSessionResponse> reply) {
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  store_.Apply(midwatch::ClearSession{*lease, request.session_id()},
               Empty("scheduler.clear.after", std::move(reply)));
}

void Scheduler::AppendEvents(const v1::AppendEventsRequest& request,
                             Reply<v1::AppendEventsResponse> reply) {
  const int attempts = request.attempts_size();
  if (attempts < 1 || attempts > kAttemptsPerAppend) {
    return reply(absl::InvalidArgumentError(absl::StrCat(
        "attempts: expected 1 to ", kAttemptsPerAppend, ", not ", attempts)));
  }
  // What the last of them to be stored answers with.
  struct Gathered {
    v1::AppendEventsResponse response;
    int left;
    Reply<v1::AppendEventsResponse> reply;
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->left = attempts;
  gathered->reply = std::move(reply);
  for (int i = 0; i < attempts; ++i) gathered->response.add_attempts();
  for (int i = 0; i < attempts; ++i) {
    Append(request.attempts(i), [gathered, i](absl::StatusOr<int64_t> end) {
      v1::AttemptStored& stored = *gathered->response.mutable_attempts(i);
      if (end.ok()) {
        stored.set_stored_events(*end);
      } else {
        stored.set_error_code(end.status().raw_code());
        stored.set_error(std::string(end.status().message()));
      }
      if (--gathered->left == 0) {
        gathered->reply(std::move(gathered->response));
      }
    });
  }
}

void Scheduler::Append(const v1::AttemptEvents& events, Reply<int64_t> reply) {
  // Events are in a file of their own, without leases: the book, which knows
  // every live lease, stands guard.
  absl::StatusOr<LeaseBook::LiveLease> live = leases_.Find(events.token());
  if (!live.ok()) return reply(live.status());
  if (events.events_json_size() > kEventsPerAppend ||
      events.ByteSizeLong() > kAppendBytesMax || events.first_sequence() < 0) {
    return reply(absl::InvalidArgumentError(absl::StrCat(
        "events_json: expected at most ", kEventsPerAppend, " events and ",
        kAppendBytesMax, " bytes, from sequence 0 on")));
  }
  EventChunk chunk{live->grant_seq, events.first_sequence(), {}};
  chunk.events_json.assign(events.events_json().begin(),
                           events.events_json().end());
  auto append = [this, task = live->key.task, chunk = std::move(chunk),
                 reply = std::move(reply)](absl::StatusOr<Done> done) mutable {
    if (!done.ok()) return reply(done.status());
    store_.AppendEvents(std::move(chunk),
                        [this, task, reply = std::move(reply)](
                            absl::StatusOr<int64_t> end) mutable {
                          if (end.ok()) feeds_.Notify(task);
                          reply(end);
                        });
  };
  if (events.has_estimated_cost_usd_micros()) {
    // Whoever tells it is trusted with more, but a sum shall not overflow.
    constexpr int64_t kEstimateMax = 1'000'000'000'000;
    NoteEstimate(live->key.task, live->batch,
                 std::clamp<int64_t>(events.estimated_cost_usd_micros(), 0,
                                     kEstimateMax));
  }
  // What it has to store, the service has answered.
  if (live->probe) {
    store_.Apply(PassProbe{live->key}, [this](absl::StatusOr<Done> passed) {
      if (passed.ok()) leases_.WantAdmission();
    });
  }
  if (!events.first_message_seen()) return append(Done{});
  store_.Apply(MarkStarted{live->key},
               [append = std::move(append)](absl::StatusOr<Done> done) mutable {
                 if (done.ok()) FaultPoint("scheduler.started.after");
                 append(std::move(done));
               });
}

void Scheduler::ReadEvents(const v1::ReadEventsRequest& request,
                           Reply<v1::ReadEventsResponse> reply) {
  absl::StatusOr<LeaseBook::LiveLease> live = leases_.Find(request.token());
  if (!live.ok()) return reply(live.status());
  store_.Read<std::vector<std::string>>(
      [grant_seq = live->grant_seq, from = request.from_sequence()](
          StoreReader& reader) { return reader.ReadEvents(grant_seq, from); },
      [reply = std::move(reply)](
          absl::StatusOr<std::vector<std::string>> events) mutable {
        if (!events.ok()) return reply(events.status());
        v1::ReadEventsResponse response;
        for (std::string& event : *events) {
          response.add_events_json(std::move(event));
        }
        reply(std::move(response));
      });
}

void Scheduler::Advise(const v1::AdviseRequest& request,
                       Reply<v1::AdviseResponse> reply) {
  absl::StatusOr<LeaseBook::LiveLease> live = leases_.Find(request.token());
  if (!live.ok()) return reply(live.status());
  Advice advice = DecideAdvice(request, random_.Fraction());
  v1::AdviseResponse response;
  response.set_action(advice.action);
  *response.mutable_delay() = ToDuration(advice.delay);
  if (advice.action != v1::AdviseResponse::ACTION_NUDGE) {
    return reply(std::move(response));
  }
  store_.Apply(
      AddSay{live->key, v1::SAY_KIND_MESSAGE,
             absl::StrCat("nudge:", request.earlier_failures()), kNudge},
      [response = std::move(response),
       reply = std::move(reply)](absl::StatusOr<SayAdded> added) mutable {
        if (!added.ok()) return reply(added.status());
        FaultPoint("scheduler.nudge.after");
        *response.mutable_say() = added->say;
        reply(std::move(response));
      });
}

void Scheduler::AddAnswer(const v1::AddAnswerRequest& request,
                          Reply<v1::AddAnswerResponse> reply) {
  constexpr size_t kAnswerBytesMax = 1 << 20;
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  if (request.tool_use_id().empty() || request.tool_use_id().size() > 200) {
    return reply(
        absl::InvalidArgumentError("tool_use_id: expected 1 to 200 bytes"));
  }
  if (request.text().size() > kAnswerBytesMax) {
    return reply(absl::InvalidArgumentError("text: expected at most 1 MiB"));
  }
  store_.Apply(
      AddSay{*lease,
             request.is_error() ? v1::SAY_KIND_ERROR : v1::SAY_KIND_RESULT,
             request.tool_use_id(), request.text()},
      [reply = std::move(reply)](absl::StatusOr<SayAdded> added) mutable {
        if (!added.ok()) return reply(added.status());
        FaultPoint("scheduler.say.after");
        v1::AddAnswerResponse response;
        *response.mutable_say() = std::move(added->say);
        reply(std::move(response));
      });
}

void Scheduler::MarkSaid(const v1::MarkSaidRequest& request,
                         Reply<v1::MarkSaidResponse> reply) {
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  store_.Apply(midwatch::MarkSaid{*lease, request.number()},
               Empty("scheduler.said.after", std::move(reply)));
}

void Scheduler::Park(const v1::ParkRequest& request,
                     Reply<v1::ParkResponse> reply) {
  constexpr int kQuestionsMax = 100;
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  if (request.questions().empty() || request.questions_size() > kQuestionsMax) {
    return reply(absl::InvalidArgumentError("questions: expected 1 to 100"));
  }
  std::vector<v1::Question> questions(request.questions().begin(),
                                      request.questions().end());
  for (const v1::Question& question : questions) {
    if (question.question_id().empty() || question.question_id().size() > 200) {
      return reply(absl::InvalidArgumentError(
          "questions.question_id: expected 1 to 200 bytes"));
    }
  }
  store_.Apply(
      midwatch::Park{*lease, std::move(questions), SpecWaitPolicy()},
      [this, lease = *lease, task = request.token().task_id(),
       reply = std::move(reply)](absl::StatusOr<Parked> parked) mutable {
        if (!parked.ok()) return reply(parked.status());
        FaultPoint("scheduler.park.after");
        v1::ParkResponse response;
        response.set_parked(parked->parked);
        response.set_cancelling(parked->cancelling);
        response.set_end(parked->end);
        if (parked->parked) {
          LogInfo("parked", {{"task", task}, {"attempt", lease.attempt}});
          leases_.Release(lease);
          feeds_.Notify(lease.task);
          // When its time is over is known inside; looking is cheaper.
          PlanTimers(clock_.Now());
        } else {
          response.mutable_answers()->Assign(parked->answers.begin(),
                                             parked->answers.end());
        }
        reply(std::move(response));
      });
}

void Scheduler::Settle(const v1::SettleRequest& request,
                       Reply<v1::SettleResponse> reply) {
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  if (request.ending().kind() == v1::Ending::KIND_UNSPECIFIED) {
    return reply(absl::InvalidArgumentError("ending.kind: required"));
  }
  // Drawn here, so that what the transaction runs is a pure function.
  double jitter = random_.Fraction();
  midwatch::Settle write{
      *lease, request.ending(),
      [jitter](const Tally& tally, const v1::Ending& ending) {
        return Decide(tally, ending, jitter);
      }};
  store_.Apply(
      std::move(write),
      [this, lease = *lease, task = request.token().task_id(),
       reply = std::move(reply)](absl::StatusOr<Settled> settled) mutable {
        if (!settled.ok()) return reply(settled.status());
        FaultPoint("scheduler.settle.after");
        LogInfo("settled", {{"task", task},
                            {"attempt", lease.attempt},
                            {"state", v1::TaskState_Name(settled->state)}});
        if (settled->state == v1::TASK_STATE_RUNNING) {
          leases_.Release(lease);
        } else {
          leases_.Forget(lease);
          estimates_.Forget(lease.task);
        }
        if (settled->account_changed || settled->needs_met) {
          PlanTimers(clock_.Now());
        }
        feeds_.Notify(lease.task);
        // The delay was drawn inside; looking is cheaper than carrying it out.
        if (settled->state == v1::TASK_STATE_QUEUED) PlanTimers(clock_.Now());
        v1::SettleResponse response;
        response.set_state(settled->state);
        reply(std::move(response));
      });
}

void Scheduler::HandBack(const v1::HandBackRequest& request,
                         Reply<v1::HandBackResponse> reply) {
  absl::StatusOr<LeaseKey> lease = ParseToken(ids_, request.token());
  if (!lease.ok()) return reply(lease.status());
  store_.Apply(midwatch::HandBack{*lease},
               [this, lease = *lease,
                reply = std::move(reply)](absl::StatusOr<Done> done) mutable {
                 if (!done.ok()) return reply(done.status());
                 FaultPoint("scheduler.handback.after");
                 leases_.Release(lease);
                 reply(v1::HandBackResponse());
               });
}

void Scheduler::FindRemoteIds(const v1::FindRemoteIdsRequest& request,
                              Reply<v1::FindRemoteIdsResponse> reply) {
  if (request.keys_size() > 1000) {
    return reply(absl::InvalidArgumentError("keys: at most 1000"));
  }
  std::vector<std::string> keys(request.keys().begin(), request.keys().end());
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  store_.Read<Pairs>(
      [account = request.account(), keys = std::move(keys)](
          StoreReader& reader) { return reader.FindRemoteIds(account, keys); },
      [reply = std::move(reply)](absl::StatusOr<Pairs> pairs) mutable {
        if (!pairs.ok()) return reply(pairs.status());
        v1::FindRemoteIdsResponse response;
        for (const auto& [key, id] : *pairs) {
          (*response.mutable_ids())[key] = id;
        }
        reply(std::move(response));
      });
}

void Scheduler::RecordRemoteId(const v1::RecordRemoteIdRequest& request,
                               Reply<v1::RecordRemoteIdResponse> reply) {
  if (request.key().empty() || request.id().empty()) {
    return reply(absl::InvalidArgumentError("key and id: required"));
  }
  store_.Apply(
      midwatch::RecordRemoteId{request.account(), request.key(), request.id(),
                               request.replaces()},
      [reply = std::move(reply)](absl::StatusOr<RemoteId> remote) mutable {
        if (!remote.ok()) return reply(remote.status());
        FaultPoint("scheduler.remoteid.after");
        v1::RecordRemoteIdResponse response;
        response.set_id(remote->id);
        reply(std::move(response));
      });
}

}  // namespace midwatch
