// HTTP for clients, as a seam: `worker/` and `agents/` see only this, and the
// simulator scripts it.
#ifndef MIDWATCH_NET_HTTP_H_
#define MIDWATCH_NET_HTTP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/coro.h"

namespace midwatch {

// In the order sent or received. Names compare without case.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// The first value of `name`, or an empty view.
absl::string_view HeaderValue(const HttpHeaders& headers,
                              absl::string_view name);

// A piece of a request's body: the bytes, then the file at `path` (where one is
// named) from its beginning to its end, read as it is sent.
struct HttpBodyPart {
  std::string bytes;
  std::string path;
};

struct HttpRequest {
  std::string method = "GET";
  // Absolute, with query. http or https; a unix socket never.
  std::string url;
  HttpHeaders headers;
  // Sent one after the other, with a Content-Length. Empty: no body.
  std::vector<HttpBodyPart> body;
  // From the call to the last byte of the answer (Fetch, Download) or to the
  // answer's headers (OpenStream).
  absl::Duration timeout = absl::Seconds(60);
  // Larger answers fail with kResourceExhausted (Fetch only).
  int64_t response_bytes_max = 64 << 20;
};

// An answer of any status: a 404 is an OK result with status 404.
struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

// An answer whose body is read as it comes. The destructor closes it. Reading
// slowly slows the sender: a bounded number of bytes waits here.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  virtual int status() const = 0;
  virtual const HttpHeaders& headers() const = 0;

  // The next bytes, at least one; empty at the end of the body. One call at a
  // time.
  //   kUnavailable  the connection was lost
  //   kCancelled    Close was called
  virtual Async<absl::StatusOr<std::string>> Read() = 0;

  // Ends a Read that waits and all later ones. On the executor's thread.
  virtual void Close() = 0;
};

// What did the server do with a request that failed without an answer? A
// connection that never came up executed nothing; any later loss may hide a
// success. Attached to the Status of a failed call; unset means kUnknown.
enum class HttpExecuted { kNo, kUnknown };
void SetHttpExecuted(absl::Status& status, HttpExecuted executed);
HttpExecuted GetHttpExecuted(const absl::Status& status);

// The name of the server, or of its proxy, did not resolve. Attached in the
// same way.
void SetHttpUnresolved(absl::Status& status);
bool IsHttpUnresolved(const absl::Status& status);

// Used on one executor's thread. Requests run concurrently.
//   kUnavailable       no connection, connection lost, name not resolved
//   kDeadlineExceeded  the request's timeout passed
//   kUnauthenticated   the server's certificate is not trusted
//   kInvalidArgument   the URL is none
// each naming the method, the URL without its query, and the cause.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  virtual Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) = 0;

  // Like Fetch, but a 2xx body goes to the file at `path` (made or truncated,
  // not synced) and the response's body stays empty. Other bodies as in Fetch.
  virtual Async<absl::StatusOr<HttpResponse>> Download(HttpRequest request,
                                                       std::string path) = 0;

  // Returns at the answer's headers. A timeout bounds only the time until then.
  virtual Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest request) = 0;
};

// `text` with every byte outside A-Z a-z 0-9 - . _ ~ as %XX.
std::string PercentEncode(absl::string_view text);

}  // namespace midwatch

#endif  // MIDWATCH_NET_HTTP_H_
