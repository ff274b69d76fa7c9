#include "net/curl_multi.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdlib>
#include <utility>

#include "base/log.h"

namespace midwatch {

namespace asio = boost::asio;

struct CurlMulti::Poller {
  Poller(Executor& executor, int fd, CurlMulti* m)
      : descriptor(executor.asio(), fd), multi(m) {}
  asio::posix::stream_descriptor descriptor;
  CurlMulti* multi;  // null once that is gone
};

CurlMulti::CurlMulti(Executor& executor) : executor_(executor) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_ALL);
  multi_ = curl_multi_init();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  // Asio gets a descriptor of its own, so that it may go before or after ours.
  int watched = fcntl(epoll_, F_DUPFD_CLOEXEC, 0);
  if (initialized != CURLE_OK || multi_ == nullptr || watched < 0) {
    LogError("cannot set up libcurl: out of memory or file descriptors");
    std::abort();
  }
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  auto poller = std::make_shared<Poller>(executor, watched, this);
  poller_ = poller;
  Watch(std::move(poller));
}

CurlMulti::~CurlMulti() {
  curl_multi_cleanup(multi_);
  executor_.Cancel(timer_);
  if (std::shared_ptr<Poller> poller = poller_.lock()) {
    poller->multi = nullptr;
    poller->descriptor.cancel();
  }
  close(epoll_);
}

void CurlMulti::Add(Client* client) {
  clients_.insert(client);
  curl_easy_setopt(client->easy(), CURLOPT_PRIVATE, client);
  // Only sets a timer: the transfer starts in a task of its own.
  curl_multi_add_handle(multi_, client->easy());
}

void CurlMulti::Remove(Client* client) {
  if (clients_.erase(client) == 0) return;
  curl_multi_remove_handle(multi_, client->easy());
}

void CurlMulti::Shutdown() {
  while (!clients_.empty()) {
    Client* client = *clients_.begin();
    Remove(client);
    client->OnShutdown();
  }
}

int CurlMulti::OnSocket(CURL*, curl_socket_t socket, int what, void* self,
                        void*) {
  int epoll = static_cast<CurlMulti*>(self)->epoll_;
  if (what == CURL_POLL_REMOVE) {
    // libcurl may have closed it, which removed it.
    epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
    return 0;
  }
  epoll_event event{};
  event.data.fd = socket;
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) == 0) return 0;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) == 0 ? 0 : -1;
}

int CurlMulti::OnTimer(CURLM*, long delay_millis, void* self) {
  auto* multi = static_cast<CurlMulti*>(self);
  multi->executor_.Cancel(std::exchange(multi->timer_, 0));
  if (delay_millis < 0) return 0;
  multi->timer_ = multi->executor_.After(absl::Milliseconds(delay_millis),
                                         [multi] { multi->HandleTimeout(); });
  return 0;
}

void CurlMulti::Watch(std::shared_ptr<Poller> poller) {
  asio::posix::stream_descriptor& descriptor = poller->descriptor;
  descriptor.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [poller = std::move(poller)](boost::system::error_code) mutable {
        if (poller->multi == nullptr) return;
        poller->multi->HandleSockets();
        // No completion runs a caller's code, so the multi is still there.
        Watch(std::move(poller));
      });
}

void CurlMulti::HandleSockets() {
  // What does not fit is still readable, and found by the next wait.
  std::array<epoll_event, 256> events;
  int count = epoll_wait(epoll_, events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    int what = 0;
    if (event.events & (EPOLLIN | EPOLLHUP)) what |= CURL_CSELECT_IN;
    if (event.events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (event.events & EPOLLERR) what |= CURL_CSELECT_ERR;
    int running = 0;
    // A socket that an earlier one of these closed is unknown to libcurl, which
    // then does nothing; one opened anew under the same number is only asked in
    // vain.
    curl_multi_socket_action(multi_, event.data.fd, what, &running);
  }
  Reap();
}

void CurlMulti::HandleTimeout() {
  timer_ = 0;
  int running = 0;
  curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  Reap();
}

void CurlMulti::Reap() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    // Removing the handle frees the message.
    CURLcode code = message->data.result;
    char* tag = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &tag);
    auto* client = reinterpret_cast<Client*>(tag);
    Remove(client);
    client->OnDone(code);
  }
}

}  // namespace midwatch
