#include "net/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "net/http_connection.h"

namespace midwatch {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// Answered without a look at the request, so the connection does not wait for
// one: as far as the socket takes it at once.
void TurnAway(const HttpServerState& state, tcp::socket socket) {
  std::string body = state.error_body(503, "too many connections");
  HttpHeaders headers = {{"Content-Type", "application/json"},
                         {"Content-Length", absl::StrCat(body.size())},
                         {"Connection", "close"}};
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(FormatHttpHead(503, headers) + body), ignored);
}

Async<void> Accept(std::shared_ptr<HttpServerState> state,
                   tcp::acceptor acceptor) {
  struct Named {
    HttpServerState& state;
    ~Named() { state.acceptor = nullptr; }
  } named{*state};
  state->acceptor = &acceptor;
  while (!state->closing) {
    auto [error, socket] =
        co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (state->closing) break;
    if (error == asio::error::no_descriptors ||
        error == asio::error::no_memory ||
        error == asio::error::no_buffer_space) {
      // The next try would fail at once too: let connections end first.
      LogWarning("cannot accept a connection", {{"cause", error.message()}});
      co_await Sleep(state->executor, absl::Milliseconds(200));
    }
    if (error) continue;  // the client has gone again
    if (static_cast<int>(state->connections.size()) >=
        state->options.connections_max) {
      TurnAway(*state, std::move(socket));
      continue;
    }
    Spawn(state->executor, ServeHttpConnection(state, std::move(socket)));
  }
}

class Server final : public HttpServer {
 public:
  Server(std::shared_ptr<HttpServerState> state, int port)
      : state_(std::move(state)), port_(port) {}

  ~Server() override {
    state_->closing = true;
    error_code ignored;
    if (state_->acceptor != nullptr) state_->acceptor->close(ignored);
    for (ServerResponder* connection : state_->connections) {
      connection->Abort();
    }
  }

  int port() const override { return port_; }

 private:
  std::shared_ptr<HttpServerState> state_;
  const int port_;
};

absl::StatusOr<tcp::acceptor> OpenAcceptor(Executor& executor,
                                           const HttpServerOptions& options) {
  auto failed = [&](absl::string_view cause) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on ", options.address, " port ",
                     options.port, ": ", cause));
  };
  error_code error;
  asio::ip::address address = asio::ip::make_address(options.address, error);
  if (error) return failed("that is no IP address");
  if (options.port < 0 || options.port > 65535) return failed("no such port");
  tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
  tcp::acceptor acceptor(executor.asio());
  acceptor.open(endpoint.protocol(), error);
  // A server started again at once finds its port free.
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed(error.message());
  return acceptor;
}

}  // namespace

std::string ServerRequest::QueryValue(absl::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return "";
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(
    Executor& executor, HttpServerOptions options, Handler handler,
    ErrorBody error_body) {
  absl::StatusOr<tcp::acceptor> acceptor = OpenAcceptor(executor, options);
  if (!acceptor.ok()) return acceptor.status();
  error_code ignored;
  int port = acceptor->local_endpoint(ignored).port();
  auto state = std::make_shared<HttpServerState>(
      executor, std::move(options), std::move(handler), std::move(error_body));
  Spawn(executor, Accept(state, *std::move(acceptor)));
  return std::make_unique<Server>(std::move(state), port);
}

}  // namespace midwatch
