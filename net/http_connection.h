// One accepted connection of an HttpServer.
#ifndef MIDWATCH_NET_HTTP_CONNECTION_H_
#define MIDWATCH_NET_HTTP_CONNECTION_H_

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <unordered_set>
#include <utility>

#include "base/coro.h"
#include "base/executor.h"
#include "net/http_server.h"

namespace midwatch {

// What a server and its connections share: the last of them to go takes it
// along. Sockets live in coroutines, and so go with the executor's context
// where that ends first; here they are only named.
struct HttpServerState {
  HttpServerState(Executor& e, HttpServerOptions o, HttpServer::Handler h,
                  HttpServer::ErrorBody b)
      : executor(e),
        options(std::move(o)),
        handler(std::move(h)),
        error_body(std::move(b)) {}

  Executor& executor;
  const HttpServerOptions options;
  const HttpServer::Handler handler;
  const HttpServer::ErrorBody error_body;
  bool closing = false;
  boost::asio::ip::tcp::acceptor* acceptor = nullptr;
  std::unordered_set<ServerResponder*> connections;
};

// Answers requests until the client, an error or the server ends it.
Async<void> ServeHttpConnection(std::shared_ptr<HttpServerState> state,
                                boost::asio::ip::tcp::socket socket);

// "HTTP/1.1 404 Not Found" and the headers, through the blank line.
std::string FormatHttpHead(int status, const HttpHeaders& headers);

}  // namespace midwatch

#endif  // MIDWATCH_NET_HTTP_CONNECTION_H_
