#include "net/http_connection.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "net/http_target.h"
#include "net/spool_file.h"

namespace midwatch {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Parser = http::request_parser<http::buffer_body>;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr uint32_t kHeaderBytesMax = 64 << 10;
constexpr size_t kPieceBytes = 64 << 10;
constexpr int64_t kBodyBytesMax = 32 << 20;
// How long a refused client may go on sending before it is cut off.
constexpr std::chrono::seconds kLinger(5);

// Why a request is not handled. 0: it is.
struct Refusal {
  static constexpr int kGone = -1;  // nobody is left to tell
  int status = 0;
  std::string message;
};

std::string ToString(beast::string_view text) {
  return std::string(text.data(), text.size());
}

Refusal ToRefusal(error_code error) {
  if (error == http::error::header_limit) {
    return {431, "the request's headers are too large"};
  }
  if (error == http::error::end_of_stream ||
      error == http::error::partial_message ||
      error.category() !=
          http::make_error_code(http::error::bad_method).category()) {
    return {Refusal::kGone, ""};
  }
  return {400, absl::StrCat("not an HTTP/1.1 request: ", error.message())};
}

Refusal TooLarge(int64_t bytes_max) {
  return {413, absl::StrCat("the request's body is larger than ", bytes_max,
                            " bytes")};
}

class Connection final : public ServerResponder {
 public:
  Connection(HttpServerState& state, tcp::socket socket)
      : state_(state), stream_(std::move(socket)) {
    state_.connections.insert(this);
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
  }
  ~Connection() override { state_.connections.erase(this); }

  // True when the connection can take another request.
  Async<bool> ServeOne();

  // From ServerResponder.
  Async<absl::Status> Send(int status, HttpHeaders headers,
                           std::string body) override;
  Async<absl::Status> SendFile(int status, HttpHeaders headers,
                               std::string path) override;
  Async<absl::Status> StartStream(int status, HttpHeaders headers) override;
  Async<absl::Status> Write(std::string bytes) override;
  void Abort() override;

 private:
  Async<Refusal> ReadRequest(ServerRequest& request, SpoolFile& spool);
  Async<Refusal> ReadBody(Parser& parser, int64_t bytes_max,
                          ServerRequest& request, SpoolFile& spool);
  absl::Status Keep(absl::string_view piece, ServerRequest& request,
                    SpoolFile& spool);
  Async<void> Refuse(Refusal refusal);
  Async<void> EndAnswer();
  absl::Status BeginAnswer();
  std::string Head(int status, HttpHeaders headers);
  bool ClientClosed();
  Async<absl::Status> WriteAll(std::string bytes);
  void ExpireWhenIdle() {
    stream_.expires_after(
        absl::ToChronoNanoseconds(state_.options.idle_timeout));
  }

  HttpServerState& state_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  bool gone_ = false;
  // Of the request at hand.
  bool keep_alive_ = false;
  bool chunked_ = false;
  bool answered_ = false;
  bool streaming_ = false;
};

Async<bool> Connection::ServeOne() {
  keep_alive_ = chunked_ = answered_ = streaming_ = false;
  ServerRequest request;
  SpoolFile spool;
  Refusal refusal = co_await ReadRequest(request, spool);
  if (refusal.status == Refusal::kGone) co_return false;
  if (refusal.status != 0) {
    co_await Refuse(std::move(refusal));
    co_return false;
  }
  stream_.expires_never();
  co_await state_.handler(std::move(request), *this);
  co_await EndAnswer();
  co_return keep_alive_ && !gone_ && !state_.closing;
}

Async<Refusal> Connection::ReadRequest(ServerRequest& request,
                                       SpoolFile& spool) {
  Parser parser;
  parser.header_limit(kHeaderBytesMax);
  parser.body_limit(boost::none);  // see ReadBody
  ExpireWhenIdle();
  auto [error, size] =
      co_await http::async_read_header(stream_, buffer_, parser, kAsTuple);
  if (error) co_return ToRefusal(error);

  const auto& head = parser.get();
  keep_alive_ = chunked_ = head.version() >= 11;
  keep_alive_ =
      keep_alive_ && parser.keep_alive() && head.method() != http::verb::head;
  request.method = ToString(head.method_string());
  std::string target = ToString(head.target());
  absl::StatusOr<HttpTarget> decoded = ParseHttpTarget(target);
  if (!decoded.ok()) {
    co_return Refusal{400, std::string(decoded.status().message())};
  }
  request.path = std::move(decoded->path);
  request.query = std::move(decoded->query);
  for (const auto& field : head) {
    request.headers.emplace_back(ToString(field.name_string()),
                                 ToString(field.value()));
  }

  int64_t bytes_max =
      state_.options.body_bytes_max
          ? state_.options.body_bytes_max(request.method, request.path)
          : kBodyBytesMax;
  if (auto length = parser.content_length();
      length && static_cast<int64_t>(*length) > bytes_max) {
    co_return TooLarge(bytes_max);
  }
  if (!parser.is_done() &&
      absl::EqualsIgnoreCase(HeaderValue(request.headers, "Expect"),
                             "100-continue")) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    absl::Status status = co_await WriteAll(std::move(go_on));
    if (!status.ok()) co_return Refusal{Refusal::kGone, ""};
  }
  co_return co_await ReadBody(parser, bytes_max, request, spool);
}

Async<Refusal> Connection::ReadBody(Parser& parser, int64_t bytes_max,
                                    ServerRequest& request, SpoolFile& spool) {
  if (parser.is_done()) co_return Refusal();
  std::string piece(kPieceBytes, '\0');
  // Beast reads no more at a time than the buffer has room for.
  buffer_.reserve(kPieceBytes);
  int64_t total = 0;
  while (!parser.is_done()) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    ExpireWhenIdle();
    auto [error, size] =
        co_await http::async_read_some(stream_, buffer_, parser, kAsTuple);
    if (error && error != http::error::need_buffer) co_return ToRefusal(error);
    size_t got = piece.size() - parser.get().body().size;
    total += static_cast<int64_t>(got);
    if (total > bytes_max) co_return TooLarge(bytes_max);
    absl::Status status = Keep({piece.data(), got}, request, spool);
    if (!status.ok()) {
      co_return Refusal{500, std::string(status.message())};
    }
  }
  buffer_.shrink_to_fit();
  if (spool.path().empty()) co_return Refusal();
  absl::Status status = spool.Finish();
  if (!status.ok()) co_return Refusal{500, std::string(status.message())};
  request.body_path = spool.path();
  co_return Refusal();
}

// In memory up to the bound, then all of it in the file.
absl::Status Connection::Keep(absl::string_view piece, ServerRequest& request,
                              SpoolFile& spool) {
  if (spool.path().empty()) {
    request.body.append(piece.data(), piece.size());
    if (static_cast<int64_t>(request.body.size()) <=
        state_.options.body_memory_bytes_max) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(spool.Create(state_.options.spool_dir));
    std::string whole = std::exchange(request.body, std::string());
    return spool.Append(whole);
  }
  return spool.Append(piece);
}

Async<void> Connection::Refuse(Refusal refusal) {
  keep_alive_ = false;
  std::string body = state_.error_body(refusal.status, refusal.message);
  HttpHeaders headers = {{"Content-Type", "application/json"}};
  absl::Status status =
      co_await Send(refusal.status, std::move(headers), std::move(body));
  if (!status.ok()) co_return;
  // To close while the client still sends would reset the connection, and the
  // client might never see the answer.
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  stream_.expires_after(kLinger);
  std::array<char, 4096> dropped;
  error_code error;
  while (!error) {
    auto [e, size] =
        co_await stream_.async_read_some(asio::buffer(dropped), kAsTuple);
    error = e;
  }
}

Async<void> Connection::EndAnswer() {
  // A client that has gone in the meantime shows in `gone_`.
  if (gone_) co_return;
  if (!answered_) {
    std::string body = state_.error_body(500, "the server gave no answer");
    HttpHeaders headers = {{"Content-Type", "application/json"}};
    (void)co_await Send(500, std::move(headers), std::move(body));
  } else if (streaming_ && chunked_) {
    std::string last = "0\r\n\r\n";
    (void)co_await WriteAll(std::move(last));
  }
}

absl::Status Connection::BeginAnswer() {
  if (gone_) return absl::UnavailableError("the client has gone");
  if (answered_) return absl::InternalError("a second answer to one request");
  answered_ = true;
  return absl::OkStatus();
}

std::string Connection::Head(int status, HttpHeaders headers) {
  if (!keep_alive_) headers.emplace_back("Connection", "close");
  return FormatHttpHead(status, headers);
}

Async<absl::Status> Connection::Send(int status, HttpHeaders headers,
                                     std::string body) {
  CO_RETURN_IF_ERROR(BeginAnswer());
  // These have no body, and say so by their status.
  if (status != 204 && status != 304) {
    headers.emplace_back("Content-Length", absl::StrCat(body.size()));
  }
  std::string head = Head(status, std::move(headers));
  if (body.size() < kPieceBytes) {  // one packet rather than two
    head += body;
    co_return co_await WriteAll(std::move(head));
  }
  CO_RETURN_IF_ERROR(co_await WriteAll(std::move(head)));
  co_return co_await WriteAll(std::move(body));
}

Async<absl::Status> Connection::SendFile(int status, HttpHeaders headers,
                                         std::string path) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"),
                                             &std::fclose);
  if (file == nullptr || std::fseek(file.get(), 0, SEEK_END) != 0) {
    co_return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  }
  int64_t left = std::ftell(file.get());
  std::rewind(file.get());
  CO_RETURN_IF_ERROR(BeginAnswer());
  headers.emplace_back("Content-Length", absl::StrCat(left));
  std::string head = Head(status, std::move(headers));
  CO_RETURN_IF_ERROR(co_await WriteAll(std::move(head)));
  while (left > 0) {
    std::string piece(static_cast<size_t>(std::min<int64_t>(left, kPieceBytes)),
                      '\0');
    if (std::fread(piece.data(), 1, piece.size(), file.get()) != piece.size()) {
      // The length is out, and cannot be kept: the client must not take what
      // it has for the whole.
      Abort();
      co_return absl::DataLossError(
          absl::StrCat(path, " became shorter while it was sent"));
    }
    left -= static_cast<int64_t>(piece.size());
    CO_RETURN_IF_ERROR(co_await WriteAll(std::move(piece)));
  }
  co_return absl::OkStatus();
}

Async<absl::Status> Connection::StartStream(int status, HttpHeaders headers) {
  CO_RETURN_IF_ERROR(BeginAnswer());
  streaming_ = true;
  // HTTP/1.0 knows no chunks: there the end of the connection ends the body.
  if (chunked_) headers.emplace_back("Transfer-Encoding", "chunked");
  std::string head = Head(status, std::move(headers));
  co_return co_await WriteAll(std::move(head));
}

Async<absl::Status> Connection::Write(std::string bytes) {
  if (!streaming_) co_return absl::InternalError("Write without StartStream");
  if (bytes.empty()) co_return absl::OkStatus();  // would end the stream
  if (ClientClosed()) {
    Abort();
    co_return absl::UnavailableError("the client has gone");
  }
  if (chunked_) {
    bytes = absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
  }
  co_return co_await WriteAll(std::move(bytes));
}

void Connection::Abort() {
  gone_ = true;
  stream_.close();
}

// The kernel takes a first write to a closed connection without a word; a look
// at the other direction tells at once.
bool Connection::ClientClosed() {
  if (gone_) return true;
  char byte;
  return recv(stream_.socket().native_handle(), &byte, 1,
              MSG_PEEK | MSG_DONTWAIT) == 0;
}

Async<absl::Status> Connection::WriteAll(std::string bytes) {
  size_t at = 0;
  while (at < bytes.size() && !gone_) {
    // Anew for each piece: a slow client is served as long as it takes
    // something.
    ExpireWhenIdle();
    auto [error, size] = co_await stream_.async_write_some(
        asio::buffer(bytes.data() + at, bytes.size() - at), kAsTuple);
    if (error) Abort();
    at += size;
  }
  stream_.expires_never();
  if (gone_) co_return absl::UnavailableError("the client has gone");
  co_return absl::OkStatus();
}

}  // namespace

Async<void> ServeHttpConnection(std::shared_ptr<HttpServerState> state,
                                tcp::socket socket) {
  Connection connection(*state, std::move(socket));
  while (co_await connection.ServeOne()) {
  }
}

std::string FormatHttpHead(int status, const HttpHeaders& headers) {
  beast::string_view reason =
      http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
  std::string head =
      absl::StrCat("HTTP/1.1 ", status, " ",
                   absl::string_view(reason.data(), reason.size()), "\r\n");
  for (const auto& [name, value] : headers) {
    // A line end in a value would begin a header that nobody meant to send.
    absl::StrAppend(&head, name, ": ",
                    absl::StrReplaceAll(value, {{"\r", " "}, {"\n", " "}}),
                    "\r\n");
  }
  return head + "\r\n";
}

}  // namespace midwatch
