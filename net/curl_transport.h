#ifndef MIDWATCH_NET_CURL_TRANSPORT_H_
#define MIDWATCH_NET_CURL_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch {

struct CurlTransportOptions {
  // How much of a stream's body may wait to be read before the transfer is
  // paused.
  int64_t stream_buffer_bytes = 256 << 10;
  absl::Duration connect_timeout = absl::Seconds(10);
  // Sent as User-Agent.
  std::string user_agent = "midwatch";
  // Certificates to trust, PEM, instead of the system's.
  std::string ca_file;
  // http or https, "http://user:password@host:3128"; for all requests but
  // those to hosts of NO_PROXY. Empty: HTTPS_PROXY and http_proxy of the
  // environment, which are not asked for this machine's loopback.
  std::string proxy;
};

// Whether `proxy` is such a URL, and `ca_file` can be read and holds a
// certificate.
//   kInvalidArgument  otherwise; the message shows no password
absl::Status CheckCurlTransportOptions(const CurlTransportOptions& options);

// A proxy's URL as it may be shown: without user and password.
std::string ShownProxy(const std::string& proxy);

// libcurl's multi interface driven by Asio: HTTP/2 over TLS where the server
// offers it, certificates always verified, redirects not
// followed. `executor` must outlive the transport; all calls are on its thread.
std::unique_ptr<HttpTransport> MakeCurlTransport(
    Executor& executor, const CurlTransportOptions& options = {});

}  // namespace midwatch

#endif  // MIDWATCH_NET_CURL_TRANSPORT_H_
