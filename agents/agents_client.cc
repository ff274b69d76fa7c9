#include "agents/agents_client.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agents/event_stream.h"
#include "agents/http_errors.h"
#include "agents/json_fields.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

using nlohmann::json;

constexpr char kBeta[] = "managed-agents-2026-04-01";
constexpr int kPageSize = 1000;
constexpr int kSessionsPageSize = 100;
// Of the time that a call may take, for the exchange itself.
constexpr absl::Duration kLeftToSend = absl::Seconds(5);
constexpr size_t kErrorBodyBytesMax = 64 << 10;

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// An answer of status 200 that cannot be read is as good as a lost one: the
// request may have been executed.
absl::Status Unreadable(std::string operation, absl::string_view body) {
  ApiError error;
  error.operation = std::move(operation);
  error.http_status = 200;
  error.message =
      absl::StrCat("the answer cannot be read: ", body.substr(0, 200));
  return ToStatus(error);
}

// The object in `body`, where it is one with an id.
absl::StatusOr<json> ReadResource(const std::string& operation,
                                  const std::string& body) {
  json object = json::parse(body, nullptr, false);
  if (StringMember(object, "id").empty()) return Unreadable(operation, body);
  return object;
}

absl::StatusOr<json> ReadPage(const std::string& operation,
                              const std::string& body) {
  json page = json::parse(body, nullptr, false);
  if (!Member(page, "data").is_array()) return Unreadable(operation, body);
  return page;
}

Session SessionOf(const json& object) {
  Session session;
  session.id = StringMember(object, "id");
  session.status = StringMember(object, "status");
  for (const auto& [key, value] : Member(object, "metadata").items()) {
    if (value.is_string()) session.metadata[key] = value;
  }
  session.model = ModelOf(Member(object, "agent"));
  session.list_cost_usd_micros = ListCostOf(Member(object, "usage"));
  session.budget_usd_micros =
      UsdMicrosOf(Member(Member(object, "budget"), "max_list_cost"));
  session.archived = !StringMember(object, "archived_at").empty();
  session.created_at =
      TimeMember(object, "created_at").value_or(absl::InfinitePast());
  return session;
}

absl::StatusOr<Session> ReadSession(const std::string& operation,
                                    const std::string& body) {
  ASSIGN_OR_RETURN(json object, ReadResource(operation, body));
  return SessionOf(object);
}

std::string QueryTime(absl::Time time) {
  return PercentEncode(
      absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()));
}

absl::StatusOr<AgentRef> ReadAgent(const std::string& operation,
                                   const std::string& body) {
  ASSIGN_OR_RETURN(json object, ReadResource(operation, body));
  AgentRef agent;
  agent.id = StringMember(object, "id");
  agent.version = IntMember(object, "version").value_or(0);
  return agent;
}

RemoteFile ReadFile(const json& object) {
  RemoteFile file;
  file.id = StringMember(object, "id");
  file.filename = StringMember(object, "filename");
  file.size_bytes = IntMember(object, "size_bytes").value_or(0);
  const json& downloadable = Member(object, "downloadable");
  file.downloadable = !downloadable.is_boolean() || downloadable.get<bool>();
  return file;
}

json BudgetBody(int64_t usd_micros) {
  constexpr int64_t kMicrosPerCent = 10'000;
  int64_t cents = std::max<int64_t>(1, usd_micros / kMicrosPerCent);
  return {{"type", "limit"},
          {"max_list_cost",
           {{"amount", absl::StrCat(cents)}, {"currency", "USD"}}}};
}

json TextContent(const std::string& text) {
  json block = {{"type", "text"}, {"text", text}};
  return json::array({block});
}

json SessionBody(const SessionSpec& spec) {
  json agent = {{"type", "agent"}, {"id", spec.agent.id}};
  if (spec.agent.version > 0) agent["version"] = spec.agent.version;
  json body = {{"agent", agent},
               {"environment_id", spec.environment_id},
               {"title", spec.title},
               {"metadata", spec.metadata},
               {"budget", BudgetBody(spec.budget_usd_micros)}};
  for (const SessionFile& file : spec.files) {
    body["resources"].push_back({{"type", "file"},
                                 {"file_id", file.file_id},
                                 {"mount_path", file.mount_path}});
  }
  if (!spec.first_message.empty()) {
    json message = {{"type", "user.message"},
                    {"content", TextContent(spec.first_message)}};
    body["initial_events"] = json::array({message});
  }
  return body;
}

json OutgoingJson(const OutgoingEvent& event) {
  if (const auto* message = std::get_if<OutgoingMessage>(&event)) {
    return {{"type", "user.message"}, {"content", TextContent(message->text)}};
  }
  if (const auto* answer = std::get_if<OutgoingConfirmation>(&event)) {
    json object = {{"type", "user.tool_confirmation"},
                   {"tool_use_id", answer->tool_use_id},
                   {"result", answer->allow ? "allow" : "deny"}};
    if (!answer->allow && !answer->deny_message.empty()) {
      object["deny_message"] = answer->deny_message;
    }
    return object;
  }
  if (const auto* result = std::get_if<OutgoingToolResult>(&event)) {
    json object = {{"type", "user.custom_tool_result"},
                   {"custom_tool_use_id", result->tool_use_id},
                   {"is_error", result->is_error}};
    // The service takes no empty text.
    if (!result->text.empty()) object["content"] = TextContent(result->text);
    return object;
  }
  return {{"type", "user.interrupt"}};
}

std::string SessionPath(const std::string& session_id) {
  return absl::StrCat("/v1/sessions/", PercentEncode(session_id));
}

// A file name as multipart/form-data writes it (WHATWG HTML).
std::string EscapeFilename(const std::string& filename) {
  return absl::StrReplaceAll(filename,
                             {{"\"", "%22"}, {"\r", "%0D"}, {"\n", "%0A"}});
}

}  // namespace

AgentsClient::AgentsClient(HttpTransport& transport, Executor& executor,
                           const Clock& clock, AgentsClientOptions options)
    : transport_(transport),
      executor_(executor),
      clock_(clock),
      options_(std::move(options)) {}

HttpRequest AgentsClient::Request(const char* method, const std::string& path,
                                  Beta beta) {
  HttpRequest request;
  request.method = method;
  request.url = absl::StrCat(options_.base_url, path);
  request.headers = {{"x-api-key", options_.api_key},
                     {"anthropic-version", options_.anthropic_version},
                     {"accept", "application/json"}};
  if (beta == Beta::kYes) request.headers.emplace_back("anthropic-beta", kBeta);
  request.timeout = options_.request_timeout;
  return request;
}

HttpRequest AgentsClient::Post(const std::string& path, std::string body) {
  HttpRequest request = Request("POST", path, Beta::kYes);
  if (!body.empty()) {
    request.headers.emplace_back("content-type", "application/json");
    request.body.push_back({std::move(body), ""});
  }
  return request;
}

Async<absl::Status> AgentsClient::PassGate(const std::string& operation,
                                           Turn turn, HttpRequest& request) {
  if (gate_ == nullptr) co_return absl::OkStatus();
  // A lease, which bounds many a timeout, goes on while the machine sleeps.
  const absl::Duration since = clock_.Boot();
  absl::Status passed = co_await gate_->Pass(turn.request_class, turn.purpose,
                                             turn.timeout - kLeftToSend);
  if (!passed.ok()) {
    ApiError error;
    error.operation = operation;
    error.message = std::string(passed.message());
    error.maybe_executed = false;
    co_return ToStatus(error);
  }
  const absl::Duration left = turn.timeout - (clock_.Boot() - since);
  if (left <= absl::ZeroDuration()) {
    ApiError error;
    error.operation = operation;
    error.message = "no time was left when its turn came";
    error.maybe_executed = false;
    co_return ToStatus(error);
  }
  request.timeout = std::min(request.timeout, left);
  co_return absl::OkStatus();
}

void AgentsClient::NoteAnswer(Turn turn, int http_status,
                              std::optional<absl::Duration> retry_after) {
  if (gate_ == nullptr) return;
  gate_->Note(turn.request_class, http_status, retry_after);
}

Async<absl::StatusOr<std::string>> AgentsClient::Fetch(std::string operation,
                                                       Turn turn,
                                                       HttpRequest request) {
  CO_RETURN_IF_ERROR(co_await PassGate(operation, turn, request));
  absl::StatusOr<HttpResponse> response =
      co_await transport_.Fetch(std::move(request));
  if (!response.ok()) {
    co_return ToStatus(ErrorOfLoss(operation, response.status()));
  }
  if (response->status < 200 || response->status > 299) {
    ApiError error = ErrorOfAnswer(operation, *response, clock_.Now());
    NoteAnswer(turn, error.http_status, error.retry_after);
    co_return ToStatus(error);
  }
  NoteAnswer(turn, response->status);
  co_return std::move(response->body);
}

Async<absl::StatusOr<Session>> AgentsClient::FetchSession(std::string operation,
                                                          Turn turn,
                                                          HttpRequest request) {
  CO_ASSIGN_OR_RETURN(std::string body,
                      co_await Fetch(operation, turn, std::move(request)));
  co_return ReadSession(operation, body);
}

Async<absl::StatusOr<AgentRef>> AgentsClient::CreateAgent(
    std::string definition_json) {
  HttpRequest request = Post("/v1/agents", std::move(definition_json));
  const Turn turn{RequestClass::kCreate};
  CO_ASSIGN_OR_RETURN(std::string body,
                      co_await Fetch("create_agent", turn, std::move(request)));
  co_return ReadAgent("create_agent", body);
}

Async<absl::StatusOr<AgentRef>> AgentsClient::GetAgent(std::string agent_id) {
  HttpRequest request = Request(
      "GET", absl::StrCat("/v1/agents/", PercentEncode(agent_id)), Beta::kYes);
  const Turn turn{RequestClass::kRead};
  CO_ASSIGN_OR_RETURN(std::string body,
                      co_await Fetch("get_agent", turn, std::move(request)));
  co_return ReadAgent("get_agent", body);
}

Async<absl::StatusOr<std::string>> AgentsClient::CreateEnvironment(
    std::string definition_json) {
  HttpRequest request = Post("/v1/environments", std::move(definition_json));
  const Turn turn{RequestClass::kCreate};
  CO_ASSIGN_OR_RETURN(
      std::string body,
      co_await Fetch("create_environment", turn, std::move(request)));
  CO_ASSIGN_OR_RETURN(json object, ReadResource("create_environment", body));
  co_return StringMember(object, "id");
}

Async<absl::StatusOr<Session>> AgentsClient::CreateSession(
    SessionSpec spec, absl::Duration timeout) {
  HttpRequest request = Post("/v1/sessions", Dump(SessionBody(spec)));
  request.timeout = std::min(timeout, request.timeout);
  const Turn turn{RequestClass::kCreate, RequestPurpose::kNormal, timeout};
  co_return co_await FetchSession("create_session", turn, std::move(request));
}

Async<absl::StatusOr<Session>> AgentsClient::GetSession(
    std::string session_id) {
  HttpRequest request = Request("GET", SessionPath(session_id), Beta::kYes);
  const Turn turn{RequestClass::kRead};
  co_return co_await FetchSession("get_session", turn, std::move(request));
}

Async<absl::StatusOr<Page<Session>>> AgentsClient::ListSessions(
    ListSessionsQuery query) {
  std::string path =
      absl::StrCat("/v1/sessions?order=asc&limit=", kSessionsPageSize);
  if (query.created_from > absl::InfinitePast()) {
    absl::StrAppend(&path,
                    "&created_at%5Bgte%5D=", QueryTime(query.created_from));
  }
  if (query.with_archived) absl::StrAppend(&path, "&include_archived=true");
  if (!query.page.empty()) {
    absl::StrAppend(&path, "&page=", PercentEncode(query.page));
  }
  HttpRequest request = Request("GET", path, Beta::kYes);
  const Turn turn{RequestClass::kRead, query.purpose};
  CO_ASSIGN_OR_RETURN(std::string body, co_await Fetch("list_sessions", turn,
                                                       std::move(request)));
  CO_ASSIGN_OR_RETURN(json object, ReadPage("list_sessions", body));
  Page<Session> page;
  page.next_page = StringMember(object, "next_page");
  for (const json& session : Member(object, "data")) {
    if (StringMember(session, "id").empty()) continue;
    page.items.push_back(SessionOf(session));
  }
  co_return page;
}

Async<absl::StatusOr<Session>> AgentsClient::ArchiveSession(
    std::string session_id, RequestPurpose purpose, absl::Duration timeout) {
  HttpRequest request =
      Post(absl::StrCat(SessionPath(session_id), "/archive"), "{}");
  request.timeout = std::min(timeout, request.timeout);
  const Turn turn{RequestClass::kWrite, purpose, timeout};
  co_return co_await FetchSession("archive_session", turn, std::move(request));
}

Async<absl::StatusOr<Session>> AgentsClient::RaiseBudget(
    std::string session_id, int64_t budget_usd_micros, absl::Duration timeout) {
  json body;
  body["budget"] = BudgetBody(budget_usd_micros);
  HttpRequest request = Post(SessionPath(session_id), Dump(body));
  request.timeout = std::min(timeout, request.timeout);
  const Turn turn{RequestClass::kWrite, RequestPurpose::kUrgent};
  co_return co_await FetchSession("update_session", turn, std::move(request));
}

Async<absl::Status> AgentsClient::SendEvents(std::string session_id,
                                             std::vector<OutgoingEvent> events,
                                             absl::Duration timeout) {
  json list = json::array();
  for (const OutgoingEvent& event : events) list.push_back(OutgoingJson(event));
  json body;
  body["events"] = std::move(list);
  HttpRequest request =
      Post(absl::StrCat(SessionPath(session_id), "/events"), Dump(body));
  request.timeout = std::min(timeout, request.timeout);
  // Nothing but an interrupt: somebody waits for the session to stop.
  const bool urgent = absl::c_all_of(events, [](const OutgoingEvent& event) {
    return std::holds_alternative<OutgoingInterrupt>(event);
  });
  const Turn turn{RequestClass::kWrite,
                  urgent ? RequestPurpose::kUrgent : RequestPurpose::kNormal,
                  timeout};
  absl::StatusOr<std::string> answer =
      co_await Fetch("send_events", turn, std::move(request));
  co_return answer.status();
}

Async<absl::StatusOr<Page<Event>>> AgentsClient::ListEvents(
    std::string session_id, ListEventsQuery query) {
  std::string path =
      absl::StrCat(SessionPath(session_id), "/events?limit=", kPageSize);
  for (const std::string& type : query.types) {
    absl::StrAppend(&path, "&types%5B%5D=", PercentEncode(type));
  }
  if (query.processed_from) {
    absl::StrAppend(&path, "&created_at%5Bgte%5D=",
                    PercentEncode(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ",
                                                   *query.processed_from,
                                                   absl::UTCTimeZone())));
  }
  if (!query.page.empty()) {
    absl::StrAppend(&path, "&page=", PercentEncode(query.page));
  }
  HttpRequest request = Request("GET", path, Beta::kYes);
  const Turn turn{RequestClass::kRead};
  CO_ASSIGN_OR_RETURN(std::string body,
                      co_await Fetch("list_events", turn, std::move(request)));
  CO_ASSIGN_OR_RETURN(json in, ReadPage("list_events", body));
  Page<Event> page;
  for (const json& item : in["data"]) {
    absl::StatusOr<Event> event = ParseEvent(Dump(item));
    if (event.ok()) page.items.push_back(*std::move(event));
  }
  page.next_page = StringMember(in, "next_page");
  co_return page;
}

Async<absl::StatusOr<std::vector<Event>>> AgentsClient::ListAllEvents(
    std::string session_id, ListEventsQuery query) {
  std::vector<Event> all;
  do {
    CO_ASSIGN_OR_RETURN(Page<Event> page,
                        co_await ListEvents(session_id, query));
    std::move(page.items.begin(), page.items.end(), std::back_inserter(all));
    query.page = std::move(page.next_page);
  } while (!query.page.empty());
  co_return all;
}

Async<absl::StatusOr<std::unique_ptr<EventStream>>> AgentsClient::OpenStream(
    std::string session_id) {
  HttpRequest request =
      Request("GET", absl::StrCat(SessionPath(session_id), "/events/stream"),
              Beta::kYes);
  for (auto& [name, value] : request.headers) {
    if (name == "accept") value = "text/event-stream";
  }
  const Turn turn{RequestClass::kRead};
  CO_RETURN_IF_ERROR(co_await PassGate("stream_events", turn, request));
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      co_await transport_.OpenStream(std::move(request));
  if (!stream.ok()) {
    co_return ToStatus(ErrorOfLoss("stream_events", stream.status()));
  }
  if ((*stream)->status() == 200) {
    NoteAnswer(turn, 200);
    co_return MakeEventStream(*std::move(stream), executor_,
                              options_.stream_idle_timeout);
  }
  HttpResponse refusal;
  refusal.status = (*stream)->status();
  refusal.headers = (*stream)->headers();
  HttpStream* body = stream->get();
  Executor::TimerId timer =
      executor_.After(options_.request_timeout, [body] { body->Close(); });
  while (refusal.body.size() < kErrorBodyBytesMax) {
    absl::StatusOr<std::string> bytes = co_await body->Read();
    if (!bytes.ok() || bytes->empty()) break;
    refusal.body += *bytes;
  }
  executor_.Cancel(timer);
  ApiError error = ErrorOfAnswer("stream_events", refusal, clock_.Now());
  NoteAnswer(turn, error.http_status, error.retry_after);
  co_return ToStatus(error);
}

Async<absl::StatusOr<RemoteFile>> AgentsClient::UploadFile(
    std::string path, std::string filename) {
  // Unknown to whoever wrote the file's bytes, so not among them.
  std::string boundary = Sha256Hex(
      absl::StrCat(path, "\n", absl::ToInt64Nanoseconds(clock_.Steady()), "\n",
                   options_.api_key));
  HttpRequest request = Request("POST", "/v1/files", Beta::kNo);
  request.timeout = options_.file_timeout;
  request.headers.emplace_back(
      "content-type", absl::StrCat("multipart/form-data; boundary=", boundary));
  std::string head = absl::StrCat(
      "--", boundary,
      "\r\ncontent-disposition: form-data; name=\"file\"; filename=\"",
      EscapeFilename(filename),
      "\"\r\ncontent-type: application/octet-stream\r\n\r\n");
  request.body.push_back({std::move(head), std::move(path)});
  request.body.push_back({absl::StrCat("\r\n--", boundary, "--\r\n"), ""});
  const Turn turn{RequestClass::kFiles};
  CO_ASSIGN_OR_RETURN(std::string body,
                      co_await Fetch("upload_file", turn, std::move(request)));
  CO_ASSIGN_OR_RETURN(json object, ReadResource("upload_file", body));
  co_return ReadFile(object);
}

Async<absl::StatusOr<std::vector<RemoteFile>>> AgentsClient::ListSessionFiles(
    std::string session_id) {
  std::vector<RemoteFile> files;
  std::string next_page;
  do {
    std::string path = absl::StrCat("/v1/files?limit=", kPageSize,
                                    "&scope_id=", PercentEncode(session_id));
    if (!next_page.empty()) {
      absl::StrAppend(&path, "&page=", PercentEncode(next_page));
    }
    // The one call on files that needs the beta header: for scope_id.
    HttpRequest request = Request("GET", path, Beta::kYes);
    const Turn turn{RequestClass::kFiles};
    CO_ASSIGN_OR_RETURN(std::string body,
                        co_await Fetch("list_files", turn, std::move(request)));
    CO_ASSIGN_OR_RETURN(json page, ReadPage("list_files", body));
    for (const json& item : page["data"]) files.push_back(ReadFile(item));
    next_page = StringMember(page, "next_page");
  } while (!next_page.empty());
  co_return files;
}

HttpRequest AgentsClient::ContentRequest(absl::string_view file_id) {
  HttpRequest request = Request(
      "GET", absl::StrCat("/v1/files/", PercentEncode(file_id), "/content"),
      Beta::kNo);
  request.timeout = options_.file_timeout;
  for (auto& [name, value] : request.headers) {
    if (name == "accept") value = "application/binary";
  }
  return request;
}

Async<absl::StatusOr<std::string>> AgentsClient::ReadFileBytes(
    std::string file_id) {
  const Turn turn{RequestClass::kFiles};
  co_return co_await Fetch("download_file", turn, ContentRequest(file_id));
}

Async<absl::Status> AgentsClient::DownloadFile(std::string file_id,
                                               std::string path) {
  HttpRequest request = ContentRequest(file_id);
  const Turn turn{RequestClass::kFiles};
  CO_RETURN_IF_ERROR(co_await PassGate("download_file", turn, request));
  absl::StatusOr<HttpResponse> response =
      co_await transport_.Download(std::move(request), std::move(path));
  if (!response.ok()) {
    co_return ToStatus(ErrorOfLoss("download_file", response.status()));
  }
  if (response->status < 200 || response->status > 299) {
    ApiError error = ErrorOfAnswer("download_file", *response, clock_.Now());
    NoteAnswer(turn, error.http_status, error.retry_after);
    co_return ToStatus(error);
  }
  NoteAnswer(turn, response->status);
  co_return absl::OkStatus();
}

}  // namespace midwatch
