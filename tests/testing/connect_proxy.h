#ifndef MIDWATCH_TESTS_TESTING_CONNECT_PROXY_H_
#define MIDWATCH_TESTS_TESTING_CONNECT_PROXY_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"

namespace midwatch::testing {

// An HTTP proxy on loopback that knows CONNECT alone. Whatever host it is asked
// for, the tunnel ends at one port of this machine: names need not resolve.
// One connection at a time.
class ConnectProxy {
 public:
  // With `target_port` 0 every tunnel is refused with 403.
  explicit ConnectProxy(int target_port) : target_port_(target_port) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    (void)bind(listener_, generic, size);
    (void)listen(listener_, 8);
    (void)getsockname(listener_, generic, &size);
    port_ = ntohs(address.sin_port);
    thread_ = Thread("connect-proxy", [this] { Serve(); });
  }
  ~ConnectProxy() {
    shutdown(listener_, SHUT_RDWR);
    thread_.Join();
    close(listener_);
  }

  int port() const { return port_; }
  // The head of each request so far.
  std::vector<std::string> heads() {
    MutexLock lock(mutex_);
    return heads_;
  }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }

  void Serve() {
    while (true) {
      int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      Tunnel(client);
      close(client);
    }
  }

  void Tunnel(int client) {
    std::string head;
    char byte;
    while (head.find("\r\n\r\n") == head.npos) {
      if (recv(client, &byte, 1, 0) != 1) return;
      head += byte;
    }
    {
      MutexLock lock(mutex_);
      heads_.push_back(head);
    }
    int server = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(target_port_);
    bool open = target_port_ != 0 &&
                connect(server, reinterpret_cast<sockaddr*>(&address),
                        sizeof address) == 0;
    const std::string answer =
        open ? "HTTP/1.1 200 OK\r\n\r\n"
             : "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    (void)send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    while (open) open = Pass(client, server);
    close(server);
  }

  // Passes on what either side has to say; false where one has ended.
  static bool Pass(int a, int b) {
    pollfd ends[] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    if (poll(ends, 2, 10'000) <= 0) return false;
    for (int i : {0, 1}) {
      if ((ends[i].revents & (POLLIN | POLLHUP)) == 0) continue;
      char bytes[4096];
      ssize_t n = recv(ends[i].fd, bytes, sizeof bytes, 0);
      if (n <= 0) return false;
      (void)send(ends[1 - i].fd, bytes, static_cast<size_t>(n), MSG_NOSIGNAL);
    }
    return true;
  }

  const int target_port_;
  int listener_ = socket(AF_INET, SOCK_STREAM, 0);
  int port_ = 0;
  Mutex mutex_;
  std::vector<std::string> heads_ ABSL_GUARDED_BY(mutex_);
  Thread thread_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_CONNECT_PROXY_H_
