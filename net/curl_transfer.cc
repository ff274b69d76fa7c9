#include "net/curl_transfer.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "net/curl_url.h"

namespace midwatch {
namespace {

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "[::1]" ||
         absl::StartsWith(host, "127.");
}

bool HasLineEnd(absl::string_view text) {
  return text.find_first_of(absl::string_view("\r\n\0", 3)) != text.npos;
}

}  // namespace

absl::StatusOr<CurlBody> CurlBody::Open(std::vector<HttpBodyPart> parts) {
  CurlBody body;
  for (HttpBodyPart& part : parts) {
    Piece piece{std::move(part)};
    if (!piece.part.path.empty()) {
      struct stat stat;
      if (::stat(piece.part.path.c_str(), &stat) != 0) {
        return absl::ErrnoToStatus(
            errno, absl::StrCat("cannot send ", piece.part.path));
      }
      piece.file_bytes = stat.st_size;
    }
    body.size_bytes_ +=
        static_cast<int64_t>(piece.part.bytes.size()) + piece.file_bytes;
    body.pieces_.push_back(std::move(piece));
  }
  return body;
}

absl::StatusOr<size_t> CurlBody::Read(char* buffer, size_t size) {
  for (; at_ < pieces_.size(); ++at_, taken_ = 0, file_.reset()) {
    const Piece& piece = pieces_[at_];
    int64_t in_memory = static_cast<int64_t>(piece.part.bytes.size());
    if (taken_ < in_memory) {
      size_t n = std::min(size, static_cast<size_t>(in_memory - taken_));
      std::memcpy(buffer, piece.part.bytes.data() + taken_, n);
      taken_ += static_cast<int64_t>(n);
      return n;
    }
    int64_t left = in_memory + piece.file_bytes - taken_;
    if (left == 0) continue;
    const std::string& path = piece.part.path;
    if (file_ == nullptr) file_.reset(std::fopen(path.c_str(), "rb"));
    if (file_ == nullptr) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot send ", path));
    }
    size_t n = std::fread(buffer, 1, std::min(size, static_cast<size_t>(left)),
                          file_.get());
    if (n == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " became shorter while it was sent"));
    }
    taken_ += static_cast<int64_t>(n);
    return n;
  }
  return size_t{0};
}

CurlTransfer::CurlTransfer(Executor& executor, std::shared_ptr<CurlMulti> multi,
                           const CurlTransportOptions& options)
    : executor_(executor),
      multi_(std::move(multi)),
      easy_(curl_easy_init(), &curl_easy_cleanup),
      sent_headers_(nullptr, &curl_slist_free_all) {
  CURL* easy = easy_.get();
  if (easy == nullptr) std::abort();  // out of memory
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // A name that is still being looked up is left to its thread where the
  // transfer ends first; libcurl would wait for it here otherwise.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, cause_);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(
      easy, CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(absl::ToInt64Milliseconds(options.connect_timeout)));
  if (!options.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, options.ca_file.c_str());
  }
  if (!options.proxy.empty()) {
    names_proxy_ = true;
    curl_easy_setopt(easy, CURLOPT_PROXY, options.proxy.c_str());
  }
  // Notices a peer that vanished without a word from a stream that is silent.
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &CurlTransfer::OnHeaderLine);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &CurlTransfer::OnBodyBytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &CurlTransfer::OnConnected);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
}

CurlTransfer::~CurlTransfer() { End(); }

void CurlTransfer::Start(HttpRequest request) {
  absl::Duration timeout = request.timeout;
  absl::Status status = Prepare(std::move(request));
  if (!status.ok()) {
    SetHttpExecuted(status, HttpExecuted::kNo);
    OnEnd(std::move(status));
    return;
  }
  timeout_ = executor_.After(timeout, [this, timeout] {
    timeout_ = 0;
    multi_->Remove(this);
    OnEnd(WithContext(absl::DeadlineExceededError(
        absl::StrCat("no answer within ", absl::FormatDuration(timeout)))));
  });
  multi_->Add(this);
}

absl::Status CurlTransfer::Prepare(HttpRequest request) {
  CURL* easy = easy_.get();
  what_ = request.method;
  RETURN_IF_ERROR(PrepareUrl(request.url));
  RETURN_IF_ERROR(PrepareHeaders(request.headers));
  const std::string& method = request.method;
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  repeatable_ = method == "GET" || method == "PUT" || method == "DELETE";
  ASSIGN_OR_RETURN(body_, CurlBody::Open(std::move(request.body)));
  // Even an empty POST says how long it is; some servers insist.
  if (body_.size_bytes() > 0 || (method != "GET" && method != "DELETE")) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(body_.size_bytes()));
    // No seek function: a body that was sent is never sent again.
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, &CurlTransfer::OnReadBody);
    curl_easy_setopt(easy, CURLOPT_READDATA, this);
  }
  return absl::OkStatus();
}

absl::Status CurlTransfer::PrepareUrl(const std::string& url) {
  UniqueCurlUrl parsed(curl_url());
  CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0);
  std::string scheme = UrlPart(parsed.get(), CURLUPART_SCHEME);
  if (code != CURLUE_OK || (scheme != "http" && scheme != "https")) {
    return absl::InvalidArgumentError(
        absl::StrCat(what_, " ", url.substr(0, url.find('?')),
                     ": no http or https URL", code == CURLUE_OK ? "" : ": ",
                     code == CURLUE_OK ? "" : curl_url_strerror(code)));
  }
  CURL* easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  if (scheme == "https") {
    // A request waits for a connection that is coming up, to share it where the
    // server turns out to speak HTTP/2.
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  }
  // A proxy named in the environment does not reach this machine's loopback.
  if (!names_proxy_ && IsLoopback(UrlPart(parsed.get(), CURLUPART_HOST))) {
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
  }
  for (CURLUPart secret : {CURLUPART_QUERY, CURLUPART_FRAGMENT, CURLUPART_USER,
                           CURLUPART_PASSWORD}) {
    curl_url_set(parsed.get(), secret, nullptr, 0);
  }
  absl::StrAppend(&what_, " ", UrlPart(parsed.get(), CURLUPART_URL));
  return absl::OkStatus();
}

absl::Status CurlTransfer::PrepareHeaders(const HttpHeaders& headers) {
  curl_slist* list = nullptr;
  auto add = [&](const std::string& line) {
    list = curl_slist_append(list, line.c_str());
    if (list == nullptr) std::abort();  // out of memory
  };
  // Waiting for a "100 Continue" costs a round trip or, where the server does
  // not know it, a second.
  add("Expect:");
  bool broken = false;
  for (const auto& [name, value] : headers) {
    broken |= name.empty() || HasLineEnd(name) || HasLineEnd(value);
    // libcurl's way to write a header without a value.
    add(value.empty() ? name + ";" : absl::StrCat(name, ": ", value));
  }
  sent_headers_.reset(list);
  if (broken) {
    return absl::InvalidArgumentError(
        absl::StrCat(what_, ": a header is empty or holds a line end"));
  }
  curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, list);
  return absl::OkStatus();
}

void CurlTransfer::Fail(absl::Status status) { failure_ = std::move(status); }

void CurlTransfer::Resume() { curl_easy_pause(easy_.get(), CURLPAUSE_CONT); }

void CurlTransfer::AcceptGzip() {
  curl_easy_setopt(easy_.get(), CURLOPT_ACCEPT_ENCODING, "gzip");
}

void CurlTransfer::ReadInPieces(long bytes) {
  curl_easy_setopt(easy_.get(), CURLOPT_BUFFERSIZE, bytes);
}

void CurlTransfer::CancelTimeout() {
  executor_.Cancel(std::exchange(timeout_, 0));
}

void CurlTransfer::End() {
  CancelTimeout();
  multi_->Remove(this);
}

// libcurl repeats a request by itself where a connection that it had used
// before closes without a byte of an answer. The server may have executed it,
// so only what changes nothing when repeated may be sent a second time.
int CurlTransfer::OnConnected(void* self, char*, char*, int, int) {
  auto* transfer = static_cast<CurlTransfer*>(self);
  if (transfer->connections_++ == 0 || transfer->repeatable_) {
    return CURL_PREREQFUNC_OK;
  }
  transfer->Fail(
      absl::UnavailableError("the connection was closed without an answer"));
  return CURL_PREREQFUNC_ABORT;
}

size_t CurlTransfer::OnHeaderLine(char* bytes, size_t, size_t size,
                                  void* self) {
  static_cast<CurlTransfer*>(self)->TakeHeaderLine({bytes, size});
  return size;
}

void CurlTransfer::TakeHeaderLine(absl::string_view line) {
  if (headers_done_) return;  // a trailer
  line = absl::StripTrailingAsciiWhitespace(line);
  if (absl::StartsWith(line, "HTTP/")) {
    // Each of the 1xx answers before the last begins anew.
    size_t space = line.find(' ');
    headers_.clear();
    if (space == line.npos ||
        !absl::SimpleAtoi(line.substr(space + 1, 3), &status_)) {
      status_ = 0;
    }
  } else if (line.empty()) {
    headers_done_ = status_ >= 200;
    if (headers_done_) OnHeaders();
  } else if (size_t colon = line.find(':'); colon != line.npos) {
    headers_.emplace_back(
        line.substr(0, colon),
        absl::StripLeadingAsciiWhitespace(line.substr(colon + 1)));
  }
}

size_t CurlTransfer::OnBodyBytes(char* bytes, size_t, size_t size, void* self) {
  switch (static_cast<CurlTransfer*>(self)->OnBody({bytes, size})) {
    case Take::kTaken:
      return size;
    case Take::kPause:
      return CURL_WRITEFUNC_PAUSE;
    case Take::kFail:
      break;
  }
  return 0;
}

size_t CurlTransfer::OnReadBody(char* buffer, size_t one, size_t size,
                                void* self) {
  auto* transfer = static_cast<CurlTransfer*>(self);
  absl::StatusOr<size_t> n = transfer->body_.Read(buffer, one * size);
  if (n.ok()) return *n;
  transfer->Fail(n.status());
  return CURL_READFUNC_ABORT;
}

void CurlTransfer::OnDone(CURLcode code) {
  CancelTimeout();
  OnEnd(code == CURLE_OK && failure_.ok() ? absl::OkStatus() : ToStatus(code));
}

void CurlTransfer::OnShutdown() {
  CancelTimeout();
  OnAbandon();
}

namespace {

absl::Status Unresolved(absl::Status status) {
  SetHttpUnresolved(status);
  return status;
}

}  // namespace

absl::Status CurlTransfer::ToStatus(CURLcode code) const {
  if (!failure_.ok()) return WithContext(failure_);
  std::string cause = *cause_ != '\0' ? cause_ : curl_easy_strerror(code);
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return WithContext(absl::InvalidArgumentError(cause));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Unresolved(WithContext(absl::UnavailableError(cause)));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return WithContext(absl::UnauthenticatedError(cause));
    default:
      // CURLE_OPERATION_TIMEDOUT too: the only time that libcurl measures is
      // that of connecting.
      return WithContext(absl::UnavailableError(cause));
  }
}

absl::Status CurlTransfer::WithContext(absl::Status status) const {
  absl::Status out(status.code(), absl::StrCat(what_, ": ", status.message()));
  SetHttpExecuted(
      out, connections_ == 0 ? HttpExecuted::kNo : HttpExecuted::kUnknown);
  return out;
}

}  // namespace midwatch
