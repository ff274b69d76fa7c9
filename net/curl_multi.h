// libcurl's multi interface on an Executor: sockets through one epoll set,
// timers through Executor::After. Knows transfers only as easy handles.
#ifndef MIDWATCH_NET_CURL_MULTI_H_
#define MIDWATCH_NET_CURL_MULTI_H_

#include <curl/curl.h>

#include <memory>
#include <unordered_set>

#include "base/executor.h"

namespace midwatch {

// All calls are on the executor's thread, or after it was stopped. Shared by
// the transport and its transfers, since a stream may outlive the transport.
class CurlMulti {
 public:
  // A transfer that runs. Never called inside Add, Remove or a callback of
  // libcurl.
  class Client {
   public:
    virtual CURL* easy() = 0;
    // libcurl is done with it; removed already.
    virtual void OnDone(CURLcode code) = 0;
    // Shutdown was called; removed already.
    virtual void OnShutdown() = 0;

   protected:
    ~Client() = default;
  };

  explicit CurlMulti(Executor& executor);
  ~CurlMulti();
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  void Add(Client* client);
  // No effect where `client` does not run.
  void Remove(Client* client);
  // Removes all transfers and tells them so.
  void Shutdown();

 private:
  struct Poller;

  static int OnSocket(CURL* easy, curl_socket_t socket, int what, void* self,
                      void* known);
  static int OnTimer(CURLM* multi, long delay_millis, void* self);
  static void Watch(std::shared_ptr<Poller> poller);
  void HandleSockets();
  void HandleTimeout();
  void Reap();

  Executor& executor_;
  CURLM* multi_;
  int epoll_;
  // Lives in the handler that waits for the epoll set, and so goes with the
  // executor's context where that ends first.
  std::weak_ptr<Poller> poller_;
  Executor::TimerId timer_ = 0;
  std::unordered_set<Client*> clients_;
};

}  // namespace midwatch

#endif  // MIDWATCH_NET_CURL_MULTI_H_
