// HTTP/1.1 for servers: the harness's API, later the scheduler's. Beast behind
// coroutines, one executor's thread.
#ifndef MIDWATCH_NET_HTTP_SERVER_H_
#define MIDWATCH_NET_HTTP_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/coro.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch {

struct ServerRequest {
  std::string method;
  std::string path;  // percent-decoded, without the query
  // Percent-decoded names and values (`+` is a space), in order; a name may
  // repeat (`types[]=a&types[]=b`).
  std::vector<std::pair<std::string, std::string>> query;
  HttpHeaders headers;
  // The whole body, unless it was larger than body_memory_bytes_max: then
  // `body` is empty and `body_path` names a file that is removed when the
  // handler returns (move it away to keep it).
  std::string body;
  std::string body_path;

  // The first value of the query parameter `name`, or "".
  std::string QueryValue(absl::string_view name) const;
};

// How a handler answers: exactly one of Send, SendFile, or StartStream followed
// by Writes. All return kUnavailable once the client has gone, and kInternal
// for a second answer.
class ServerResponder {
 public:
  virtual ~ServerResponder() = default;
  // Adds Content-Length.
  virtual Async<absl::Status> Send(int status, HttpHeaders headers,
                                   std::string body) = 0;
  virtual Async<absl::Status> SendFile(int status, HttpHeaders headers,
                                       std::string path) = 0;
  // Chunked; ends when the handler returns. Write waits while the client reads
  // slowly.
  virtual Async<absl::Status> StartStream(int status, HttpHeaders headers) = 0;
  virtual Async<absl::Status> Write(std::string bytes) = 0;
  // Closes the connection without an answer or in the middle of one, so that
  // the client sees a lost connection: for injected faults.
  virtual void Abort() = 0;
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  int port = 0;  // 0: any free one
  int64_t body_memory_bytes_max = 1 << 20;
  // Where larger bodies are spooled; the directory exists.
  std::string spool_dir = "/tmp";
  // Bodies above this are answered 413 before the handler is called. Asked per
  // request, with method and path; the default is 32 MB.
  std::function<int64_t(const std::string& method, const std::string& path)>
      body_bytes_max;
  int connections_max = 12000;
  absl::Duration idle_timeout = absl::Minutes(5);
};

class HttpServer {
 public:
  // Runs once per request, in a coroutine of its own. Where it returns without
  // an answer, the client gets a 500.
  using Handler =
      std::function<Async<void>(ServerRequest request, ServerResponder& reply)>;
  // Called instead for requests that never reach the handler (malformed, body
  // too large) or got no answer there: the body to send with that status, as
  // application/json.
  using ErrorBody = std::function<std::string(int status, std::string message)>;

  // Closes the port and all connections. Handlers that wait go on, and find
  // their client gone.
  virtual ~HttpServer() = default;

  // Listens at once. Call on `executor`'s thread (or before it runs anything);
  // `executor` must outlive the server, and the server must be destroyed on its
  // thread or after it was stopped.
  //   kFailedPrecondition  the address is no address or cannot be bound (in
  //                        use, no permission), with the cause
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(
      Executor& executor, HttpServerOptions options, Handler handler,
      ErrorBody error_body);

  virtual int port() const = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_NET_HTTP_SERVER_H_
