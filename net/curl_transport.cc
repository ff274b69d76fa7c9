#include "net/curl_transport.h"

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "base/coro.h"
#include "net/curl_multi.h"
#include "net/curl_transfer.h"

namespace midwatch {
namespace {

using Wake = absl::AnyInvocable<void(absl::Status)>;

// Fetch and Download: an answer as a whole.
class WholeTransfer final : public CurlTransfer {
 public:
  // With a `path`, a 2xx body goes to that file.
  WholeTransfer(Executor& executor, std::shared_ptr<CurlMulti> multi,
                const CurlTransportOptions& options, int64_t body_bytes_max,
                std::string path)
      : CurlTransfer(executor, std::move(multi), options),
        body_bytes_max_(body_bytes_max),
        path_(std::move(path)) {
    AcceptGzip();
  }

  void Run(HttpRequest request, Wake done) {
    done_ = std::move(done);
    Start(std::move(request));
  }

  HttpResponse TakeResponse() {
    return {status(), std::move(headers()), std::move(body_)};
  }

 private:
  void OnHeaders() override {
    if (path_.empty() || status() > 299) return;
    file_.reset(std::fopen(path_.c_str(), "wb"));
    if (file_ == nullptr) FailFile("cannot create ");
  }

  Take OnBody(absl::string_view bytes) override {
    if (!path_.empty() && status() <= 299) {
      if (file_ != nullptr && std::fwrite(bytes.data(), 1, bytes.size(),
                                          file_.get()) == bytes.size()) {
        return Take::kTaken;
      }
      if (file_ != nullptr) FailFile("cannot write ");
      return Take::kFail;
    }
    if (static_cast<int64_t>(body_.size() + bytes.size()) > body_bytes_max_) {
      Fail(absl::ResourceExhaustedError(absl::StrCat(
          "the answer is larger than ", body_bytes_max_, " bytes")));
      return Take::kFail;
    }
    body_.append(bytes.data(), bytes.size());
    return Take::kTaken;
  }

  void OnEnd(absl::Status status) override {
    // What the buffer still held may not fit.
    if (file_ != nullptr && std::fclose(file_.release()) != 0 && status.ok()) {
      status = absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
    }
    std::exchange(done_, nullptr)(std::move(status));
  }

  void OnAbandon() override { done_ = nullptr; }

  void FailFile(absl::string_view doing) {
    Fail(absl::ErrnoToStatus(errno, absl::StrCat(doing, path_)));
  }

  const int64_t body_bytes_max_;
  const std::string path_;
  UniqueFile file_;
  std::string body_;
  Wake done_;
};

// A worker has thousands of streams, and events are small: libcurl's 16 KiB for
// each would be a third of what a stream costs.
constexpr long kStreamPieceBytes = 2048;

// An answer whose body is read as it comes.
class CurlStream final : public CurlTransfer, public HttpStream {
 public:
  CurlStream(Executor& executor, std::shared_ptr<CurlMulti> multi,
             const CurlTransportOptions& options)
      : CurlTransfer(executor, std::move(multi), options),
        executor_(executor),
        buffer_bytes_max_(options.stream_buffer_bytes) {
    ReadInPieces(kStreamPieceBytes);
  }

  // Calls `opened` at the answer's headers, or with why there are none.
  void Open(HttpRequest request, Wake opened) {
    wake_ = std::move(opened);
    Start(std::move(request));
  }

  // From HttpStream.
  int status() const override { return CurlTransfer::status(); }
  const HttpHeaders& headers() const override {
    return CurlTransfer::headers();
  }

  Async<absl::StatusOr<std::string>> Read() override {
    if (buffer_.empty() && !end_.has_value()) {
      absl::AnyInvocable<void(Wake)> start = [this](Wake wake) {
        wake_ = std::move(wake);
      };
      // Why it was woken is in `end_` and `buffer_`.
      (void)co_await AwaitCallback<absl::Status>(executor_, std::move(start));
    }
    if (!buffer_.empty()) {
      std::string bytes = std::exchange(buffer_, std::string());
      // May put the next bytes into the buffer before it returns.
      if (std::exchange(paused_, false) && !end_.has_value()) Resume();
      co_return bytes;
    }
    if (!end_->ok()) co_return *end_;
    co_return std::string();
  }

  void Close() override {
    End();
    buffer_.clear();
    end_ = absl::CancelledError("the stream was closed");
    Rouse(*end_);
  }

 private:
  void OnHeaders() override {
    CancelTimeout();
    Rouse(absl::OkStatus());
  }

  Take OnBody(absl::string_view bytes) override {
    if (!buffer_.empty() &&
        static_cast<int64_t>(buffer_.size() + bytes.size()) >
            buffer_bytes_max_) {
      paused_ = true;
      return Take::kPause;
    }
    buffer_.append(bytes.data(), bytes.size());
    Rouse(absl::OkStatus());
    return Take::kTaken;
  }

  void OnEnd(absl::Status status) override {
    end_ = std::move(status);
    Rouse(*end_);
  }

  void OnAbandon() override {
    end_ = absl::CancelledError("the transport is gone");
    wake_ = nullptr;
  }

  void Rouse(absl::Status status) {
    if (wake_) std::exchange(wake_, nullptr)(std::move(status));
  }

  Executor& executor_;
  const int64_t buffer_bytes_max_;
  std::string buffer_;
  bool paused_ = false;
  std::optional<absl::Status> end_;
  Wake wake_;  // of Open or of Read, while one waits
};

class CurlTransport final : public HttpTransport {
 public:
  CurlTransport(Executor& executor, const CurlTransportOptions& options)
      : executor_(executor),
        options_(options),
        multi_(std::make_shared<CurlMulti>(executor)) {}
  ~CurlTransport() override { multi_->Shutdown(); }

  Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) override {
    return Whole(std::move(request), std::string());
  }

  Async<absl::StatusOr<HttpResponse>> Download(HttpRequest request,
                                               std::string path) override {
    return Whole(std::move(request), std::move(path));
  }

  Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest request) override {
    auto stream = std::make_unique<CurlStream>(executor_, multi_, options_);
    absl::AnyInvocable<void(Wake)> start = [&stream, &request](Wake opened) {
      stream->Open(std::move(request), std::move(opened));
    };
    absl::Status status =
        co_await AwaitCallback<absl::Status>(executor_, std::move(start));
    if (!status.ok()) co_return status;
    co_return std::unique_ptr<HttpStream>(std::move(stream));
  }

 private:
  Async<absl::StatusOr<HttpResponse>> Whole(HttpRequest request,
                                            std::string path) {
    WholeTransfer transfer(executor_, multi_, options_,
                           request.response_bytes_max, std::move(path));
    absl::AnyInvocable<void(Wake)> start = [&transfer, &request](Wake done) {
      transfer.Run(std::move(request), std::move(done));
    };
    absl::Status status =
        co_await AwaitCallback<absl::Status>(executor_, std::move(start));
    if (!status.ok()) co_return status;
    co_return transfer.TakeResponse();
  }

  Executor& executor_;
  const CurlTransportOptions options_;
  std::shared_ptr<CurlMulti> multi_;
};

}  // namespace

std::unique_ptr<HttpTransport> MakeCurlTransport(
    Executor& executor, const CurlTransportOptions& options) {
  return std::make_unique<CurlTransport>(executor, options);
}

}  // namespace midwatch
