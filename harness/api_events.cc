#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/page.h"
#include "harness/session_json.h"
#include "harness/session_spec.h"
#include "harness/turn.h"
#include "harness/turn_state.h"
#include "net/sse.h"

namespace midwatch::harness {

namespace {

// Puts the answers among the queued events into effect: they are processed at
// once, and a refusal is the call's result. True where the session waits for no
// more of them.
absl::StatusOr<bool> TakeAnswers(Core& core, const Session& session,
                                 LogWrite& write) {
  auto is_answer = [](const Json& event) {
    return absl::StartsWith(StringMember(event, "type"), "user.tool_") ||
           absl::StartsWith(StringMember(event, "type"), "user.custom_tool_");
  };
  if (std::none_of(write.queue.begin(), write.queue.end(), is_answer)) {
    return false;
  }
  // No model is asked while a tool use is open, so all that are open came after
  // it was last asked.
  ASSIGN_OR_RETURN(
      std::vector<Json> tail,
      core.log.ReadFromLast(session.id, "span.model_request_start"));
  TurnState state;
  for (const Json& event : tail) state.Apply(event);
  std::vector<Json> queue = std::exchange(write.queue, {});
  for (Json& event : queue) {
    if (!is_answer(event)) {
      write.queue.push_back(std::move(event));
      continue;
    }
    bool custom = StringMember(event, "type") == "user.custom_tool_result";
    const std::string id =
        StringMember(event, custom ? "custom_tool_use_id" : "tool_use_id");
    auto use = std::find_if(state.open_tools.begin(), state.open_tools.end(),
                            [&](const TurnState::ToolUse& each) {
                              return each.id == id && each.waits &&
                                     each.custom == custom;
                            });
    if (use == state.open_tools.end()) {
      return InvalidRequest(
          absl::StrCat(StringMember(event, "type"), ": no tool use \"", id,
                       "\" of this session waits for such an answer"));
    }
    use->waits = false;
    bool denied = StringMember(event, "result") == "deny";
    std::string why = StringMember(event, "deny_message");
    write.append.push_back(std::move(event));
    if (denied) {
      write.append.push_back(ToolResultEvent(
          id, why.empty() ? "Denied." : absl::StrCat("Denied: ", why), true));
    }
  }
  return state.questions_put > 0 && state.questions_open() == 0;
}

}  // namespace

absl::StatusOr<Json> Api::SendEvents(const Call& call) {
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  if (session.archived_at) {
    return absl::FailedPreconditionError(
        absl::StrCat(session.id, " is archived and takes no more events"));
  }
  LogWrite write;
  ASSIGN_OR_RETURN(write.queue, ResolveEvents(call.body, session.thread_id));
  const bool has_message = std::any_of(
      write.queue.begin(), write.queue.end(),
      [](const Json& e) { return StringMember(e, "type") == "user.message"; });
  const bool running = session.in_turn();
  ASSIGN_OR_RETURN(bool goes_on, TakeAnswers(*core_, session, write));
  if (session.at_budget()) {
    if (has_message) {
      return InvalidRequest(
          "the session has reached its budget: raise or remove it first");
    }
    // An interrupt finds nothing to end, and leaves no trace.
    if (!running && session.stop_reason != "requires_action") {
      return Json{{"data", Json::array()}};
    }
  }
  const bool asks = !running && session.stop_reason == "requires_action";
  if (goes_on || (has_message && !running && !asks)) write.status = kRunning;
  ASSIGN_OR_RETURN(std::vector<Json> events,
                   core_->log.Commit(session.id, std::move(write)));
  FaultPoint("harness.send.after");
  Turn::Wake(core_, session.id, events);
  return Json{{"data", std::move(events)}};
}

absl::StatusOr<Json> Api::ListEvents(const Call& call) {
  const QueryParams& query = call.request.query;
  PageRules rules{1000, 1000, false, true};
  ASSIGN_OR_RETURN(PageQuery page, ParsePageQuery(query, rules));
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  return core_->log.List(session.id, QueryArray(query, "types"), page);
}

Async<absl::Status> Api::StreamEvents(const Call& call,
                                      ServerResponder& reply) {
  CO_ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  std::vector<std::string> deltas =
      QueryArray(call.request.query, "event_deltas");
  for (const std::string& type : deltas) {
    if ((type != "agent.message" && type != "agent.thinking") ||
        deltas.size() > 100) {
      co_return InvalidRequest(
          "event_deltas[]: up to 100 of agent.message, agent.thinking");
    }
  }
  // Listens before the client can know that the stream is open.
  EventHub::Listener listener(core_->hub, core_->executor, session.id);
  HttpHeaders headers = AnswerHeaders(call.request_id, "text/event-stream");
  headers.emplace_back("cache-control", "no-cache");
  absl::Status status = co_await reply.StartStream(200, std::move(headers));
  while (status.ok()) {
    std::shared_ptr<const StreamedEvent> event =
        co_await listener.Next(core_->options.ping_interval);
    if (event == nullptr && listener.ended()) break;
    std::string frame = event != nullptr
                            ? FormatSseFrame(event->type, event->json)
                            : FormatSseFrame("ping", "{\"type\":\"ping\"}");
    status = co_await reply.Write(std::move(frame));
  }
  // Not an error of the request: the client went, or the session did.
  co_return absl::OkStatus();
}

}  // namespace midwatch::harness
