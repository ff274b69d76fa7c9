#include "harness/faulty_responder.h"

#include <utility>

#include "harness/json.h"

namespace midwatch::harness {
namespace {

// How late each frame of a slow stream is.
constexpr absl::Duration kSlowFrame = absl::Milliseconds(500);

}  // namespace

FaultyResponder::FaultyResponder(std::shared_ptr<Core> core, const Clock& clock,
                                 ServerResponder& inner, std::string path,
                                 uint64_t number, RequestFaults faults,
                                 HttpHeaders headers)
    : core_(std::move(core)),
      clock_(clock),
      inner_(inner),
      path_(std::move(path)),
      number_(number),
      faults_(faults),
      more_(std::move(headers)) {}

FaultyResponder::~FaultyResponder() { core_->executor.Cancel(cut_); }

bool FaultyResponder::Loses() {
  if (!faults_.lost) return false;
  core_->fault_counts.Add(Fault::kLost, path_);
  inner_.Abort();
  return true;
}

HttpHeaders FaultyResponder::WithMore(HttpHeaders headers) const {
  headers.insert(headers.end(), more_.begin(), more_.end());
  return headers;
}

Async<absl::Status> FaultyResponder::Send(int status, HttpHeaders headers,
                                          std::string body) {
  if (Loses()) co_return absl::UnavailableError("lost by intent");
  if (path_ == "/v1/sessions" && status == 200 &&
      core_->options.faults.late_list > absl::ZeroDuration()) {
    body = WithoutNewSessions(std::move(body));
  }
  headers = WithMore(std::move(headers));
  co_return co_await inner_.Send(status, std::move(headers), std::move(body));
}

Async<absl::Status> FaultyResponder::SendFile(int status, HttpHeaders headers,
                                              std::string path) {
  if (Loses()) co_return absl::UnavailableError("lost by intent");
  headers = WithMore(std::move(headers));
  co_return co_await inner_.SendFile(status, std::move(headers),
                                     std::move(path));
}

Async<absl::Status> FaultyResponder::StartStream(int status,
                                                 HttpHeaders headers) {
  if (faults_.slow) core_->fault_counts.Add(Fault::kSlow, path_);
  if (faults_.cut_after) {
    cut_ = core_->executor.After(*faults_.cut_after, [this] {
      core_->fault_counts.Add(Fault::kCut, path_);
      inner_.Abort();
    });
  }
  headers = WithMore(std::move(headers));
  co_return co_await inner_.StartStream(status, std::move(headers));
}

Async<absl::Status> FaultyResponder::Write(std::string bytes) {
  if (faults_.slow) co_await Sleep(core_->executor, kSlowFrame);
  if (Doubles(core_->options.faults, number_, frames_++)) {
    core_->fault_counts.Add(Fault::kDoubled, path_);
    bytes += bytes;
  }
  co_return co_await inner_.Write(std::move(bytes));
}

// A session as it was made is no list: it has no "data".
std::string FaultyResponder::WithoutNewSessions(std::string body) {
  Json page = ParseJson(body);
  const Json* data = Member(page, "data");
  if (data == nullptr || !data->is_array()) return body;
  const std::string newest = FormatMicros(
      absl::ToUnixMicros(clock_.Now() - core_->options.faults.late_list));
  Json shown = Json::array();
  for (const Json& session : *data) {
    // Times of one format sort as text.
    if (StringMember(session, "created_at") <= newest) shown.push_back(session);
  }
  if (shown.size() == data->size()) return body;
  core_->fault_counts.Add(Fault::kLateList, path_);
  page["data"] = std::move(shown);
  return Dump(page);
}

}  // namespace midwatch::harness
