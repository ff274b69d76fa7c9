// One HTTP request on a CurlMulti: from an HttpRequest to libcurl's options,
// and from libcurl's callbacks to the answer.
#ifndef MIDWATCH_NET_CURL_TRANSFER_H_
#define MIDWATCH_NET_CURL_TRANSFER_H_

#include <curl/curl.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/executor.h"
#include "net/curl_multi.h"
#include "net/curl_transport.h"
#include "net/http.h"

namespace midwatch {

struct FileCloser {
  void operator()(FILE* file) const { std::fclose(file); }
};
using UniqueFile = std::unique_ptr<FILE, FileCloser>;

// The parts of a request's body as one sequence of bytes. Reads files in small
// pieces, on the caller's thread.
class CurlBody {
 public:
  // Fails where a file is missing.
  static absl::StatusOr<CurlBody> Open(std::vector<HttpBodyPart> parts);

  int64_t size_bytes() const { return size_bytes_; }
  // Fills `buffer` as far as it goes; 0 at the end only.
  //   kFailedPrecondition  a file is shorter than it was
  absl::StatusOr<size_t> Read(char* buffer, size_t size);

 private:
  struct Piece {
    HttpBodyPart part;
    int64_t file_bytes = 0;
  };
  std::vector<Piece> pieces_;
  int64_t size_bytes_ = 0;
  size_t at_ = 0;      // of pieces_
  int64_t taken_ = 0;  // of pieces_[at_], bytes and file together
  UniqueFile file_;    // of pieces_[at_], once its bytes are taken
};

// All calls are on the executor's thread. The virtual functions are called from
// inside libcurl, so they start, end and destroy nothing; OnEnd excepted.
class CurlTransfer : private CurlMulti::Client {
 public:
  virtual ~CurlTransfer();
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  // Once. OnEnd may be called at once, where the request cannot be sent.
  void Start(HttpRequest request);

 protected:
  enum class Take { kTaken, kPause, kFail };

  CurlTransfer(Executor& executor, std::shared_ptr<CurlMulti> multi,
               const CurlTransportOptions& options);

  // The status and headers of the answer are complete.
  virtual void OnHeaders() = 0;
  // kPause: offer these bytes again after Resume. kFail: Fail was called.
  virtual Take OnBody(absl::string_view bytes) = 0;
  // Once, unless ended by End or destroyed. OK at the end of a whole answer.
  virtual void OnEnd(absl::Status status) = 0;
  // Instead of OnEnd, once the transport is gone: whoever waits is dropped.
  virtual void OnAbandon() = 0;

  // Why kFail. The transfer ends with `status`.
  void Fail(absl::Status status);
  void Resume();
  void AcceptGzip();
  // At most so many bytes of the answer at a time, which a buffer of its own is
  // kept for as long as it runs. Before Start.
  void ReadInPieces(long bytes);
  void CancelTimeout();
  // Stops the transfer where it runs; OnEnd is not called.
  void End();

  const HttpHeaders& headers() const { return headers_; }
  HttpHeaders& headers() { return headers_; }
  int status() const { return status_; }

 private:
  static size_t OnHeaderLine(char* bytes, size_t one, size_t size, void* self);
  static size_t OnBodyBytes(char* bytes, size_t one, size_t size, void* self);
  static size_t OnReadBody(char* buffer, size_t one, size_t size, void* self);
  static int OnConnected(void* self, char* their_ip, char* our_ip,
                         int their_port, int our_port);
  CURL* easy() override { return easy_.get(); }
  void OnDone(CURLcode code) override;
  void OnShutdown() override;

  absl::Status Prepare(HttpRequest request);
  absl::Status PrepareUrl(const std::string& url);
  absl::Status PrepareHeaders(const HttpHeaders& headers);
  void TakeHeaderLine(absl::string_view line);
  absl::Status ToStatus(CURLcode code) const;
  absl::Status WithContext(absl::Status status) const;

  Executor& executor_;
  std::shared_ptr<CurlMulti> multi_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> sent_headers_;
  CurlBody body_;
  // "POST https://host/path", for messages.
  std::string what_;
  char cause_[CURL_ERROR_SIZE] = "";
  absl::Status failure_;
  Executor::TimerId timeout_ = 0;
  bool names_proxy_ = false;  // not the environment
  bool repeatable_ = false;
  int connections_ = 0;  // on which the request was sent or about to be

  int status_ = 0;
  HttpHeaders headers_;
  bool headers_done_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_NET_CURL_TRANSFER_H_
